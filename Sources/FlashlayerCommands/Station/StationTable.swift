// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Layers
import Model
import StationProtocol

/// The station's status as a person reads it.
struct StationTable {
    let lines: [String]

    init(_ status: StationStatus, now: Int64) {
        var rows = [["slot", "state", "stick", "size", "done", "rate", "left"]]
        for slot in status.slots { rows.append(Self.row(slot)) }
        lines = [Self.heading(status, now: now)] + TextTable(rows).lines + Self.reasons(status)
    }

    private static func heading(_ status: StationStatus, now: Int64) -> String {
        guard let arming = status.arming else { return "disarmed: nothing is written" }
        var parts = ["armed with \(arming.imageName.printable), slots \(arming.slots.joined(separator: ","))"]
        parts.append(arming.count.map { "\(arming.passed) of \($0) passed" } ?? "\(arming.passed) passed")
        if arming.inFlight > 0 { parts.append("\(arming.inFlight) at work") }
        if let until = arming.until { parts.append("for \(duration(max(0, until - now))) more") }
        if let batch = arming.batch { parts.append("batch \(batch.printable)") }
        return parts.joined(separator: ", ")
    }

    private static func row(_ slot: StationStatus.Slot) -> [String] {
        var state = slot.state.rawValue
        if slot.armed { state += " (armed)" }
        var done = "", left = ""
        if let bytes = slot.bytesDone, let total = slot.bytesTotal, total > 0 {
            done = "\(min(100, bytes * 100 / total)) %"
            if let rate = slot.bytesPerSecond, rate > 0, total >= bytes {
                left = duration(Int64((total - bytes) / rate))
            }
        }
        return [
            slot.name, state, slot.serial?.printable ?? slot.device ?? "-",
            slot.size.map(ByteSize.describe) ?? "", done,
            slot.bytesPerSecond.map { ByteSize.describe($0) + "/s" } ?? "", left,
        ]
    }

    /// What is wrong, a line each: it finds no room in a column.
    private static func reasons(_ status: StationStatus) -> [String] {
        var lines: [String] = []
        for slot in status.slots {
            if let reason = slot.reason { lines.append("\(slot.name): \(reason.printable) [\(slot.code ?? "")]") }
            if slot.slowLink { lines.append("\(slot.name): the stick's link is slower than the slot's") }
        }
        if status.untaught > 0 { lines.append("\(status.untaught) more in sockets that were never taught") }
        return lines
    }

    private static func duration(_ seconds: Int64) -> String {
        seconds < 60
            ? "\(seconds) s"
            : seconds < 3600
                ? "\(seconds / 60) min \(seconds % 60) s" : "\(seconds / 3600) h \(seconds % 3600 / 60) min"
    }
}
