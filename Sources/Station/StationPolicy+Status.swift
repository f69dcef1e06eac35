// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
package import StationProtocol

extension StationPolicy {
    /// Without the figures of jobs that run, which only their engines know.
    package func status(station: String?) -> StationStatus {
        StationStatus(
            station: station,
            arming: arming.map { arming in
                StationStatus.Arming(
                    imageName: arming.imageName,
                    imageDigest: arming.imageDigest,
                    slots: tracks.map(\.slot.name).filter(arming.slots.contains),
                    smallest: arming.sizes?.lowerBound,
                    largest: arming.sizes?.upperBound,
                    count: arming.count,
                    passed: passes,
                    inFlight: inFlight,
                    until: arming.until,
                    operator: arming.operator,
                    batch: arming.batch
                )
            },
            slots: tracks.map(status),
            untaught: strangers.count
        )
    }

    private func status(_ track: SlotTrack) -> StationStatus.Slot {
        var slot = StationStatus.Slot(
            name: track.slot.name,
            state: track.state,
            armed: arming?.slots.contains(track.slot.name) ?? false
        )
        if let reason = track.reason {
            slot.code = reason.code.rawValue
            slot.reason = reason.text
        }
        guard let medium = track.job?.medium ?? track.media.first?.medium else { return slot }
        slot.device = medium.path
        slot.serial = medium.serial
        slot.vendorProduct = medium.vendorProduct
        slot.size = medium.size
        slot.linkSpeed = medium.linkSpeed
        if let speed = medium.linkSpeed, let taught = track.slot.speed { slot.slowLink = speed < taught }
        return slot
    }

    /// Where a job runs; nil when it has ended.
    package func slot(of ticket: JobTicket) -> String? { tracks.first { $0.job?.ticket == ticket }?.slot.name }

    /// nil: no such slot.
    package func state(of slot: String) -> SlotState? { tracks.first { $0.slot.name == slot }?.state }

    package var isArmed: Bool { arming != nil }

    /// How many things are remembered: bounded by the sockets of the machine, never by how many sticks there were.
    package var footprint: Int {
        tracks.reduce(strangers.count + duplicates.count) { $0 + $1.media.count + ($1.job == nil ? 0 : 1) }
    }
}
