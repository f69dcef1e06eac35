// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// What the station does now: the answer to `status`, the event of the dashboard, and `station status --json`.
///
/// Sizes are bytes, rates bytes a second, link speeds Mbit/s, times seconds since 1970. Every key is always there,
/// null where nothing is known.
package struct StationStatus: Codable, Sendable, Equatable {
    /// Rises when a reader must know the difference.
    package static let schema = 1

    package var schema = StationStatus.schema
    package var station: String?
    /// nil: disarmed.
    package var arming: Arming?
    /// In the order of `station.toml`.
    package var slots: [Slot]
    /// Disks in sockets that were never taught; they are never written.
    package var untaught: Int

    package init(station: String?, arming: Arming?, slots: [Slot], untaught: Int) {
        self.station = station
        self.arming = arming
        self.slots = slots
        self.untaught = untaught
    }

    package struct Arming: Codable, Sendable, Equatable {
        package var imageName: String
        package var imageDigest: String
        package var slots: [String]
        package var smallest: UInt64?
        package var largest: UInt64?
        /// Passes that were asked for; nil: no end.
        package var count: Int?
        package var passed: Int
        package var inFlight: Int
        package var until: Int64?
        package var `operator`: String?
        package var batch: String?

        package init(
            imageName: String,
            imageDigest: String,
            slots: [String],
            smallest: UInt64?,
            largest: UInt64?,
            count: Int?,
            passed: Int,
            inFlight: Int,
            until: Int64?,
            operator: String?,
            batch: String?
        ) {
            self.imageName = imageName
            self.imageDigest = imageDigest
            self.slots = slots
            self.smallest = smallest
            self.largest = largest
            self.count = count
            self.passed = passed
            self.inFlight = inFlight
            self.until = until
            self.operator = `operator`
            self.batch = batch
        }
    }

    package struct Slot: Codable, Sendable, Equatable {
        package var name: String
        package var state: SlotState
        package var armed: Bool
        /// Why it is refused or failed: an error code of `docs/codes.md`.
        package var code: String?
        /// The same as a sentence.
        package var reason: String?
        package var device: String?
        package var serial: String?
        /// `0781:5581`.
        package var vendorProduct: String?
        package var size: UInt64?
        package var linkSpeed: Int?
        /// The stick's link is slower than what the slot was taught with.
        package var slowLink: Bool
        package var bytesDone: UInt64?
        package var bytesTotal: UInt64?
        package var bytesPerSecond: UInt64?

        package init(name: String, state: SlotState, armed: Bool, slowLink: Bool = false) {
            self.name = name
            self.state = state
            self.armed = armed
            self.slowLink = slowLink
        }
    }
}

extension StationStatus {
    private enum Key: CodingKey {
        case schema, station, arming, slots, untaught
    }

    package func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: Key.self)
        try object.encode(schema, forKey: .schema)
        try object.encode(station, forKey: .station)
        try object.encode(arming, forKey: .arming)
        try object.encode(slots, forKey: .slots)
        try object.encode(untaught, forKey: .untaught)
    }
}

extension StationStatus.Arming {
    private enum Key: CodingKey {
        case imageName, imageDigest, slots, smallest, largest, count, passed, inFlight, until, `operator`, batch
    }

    package func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: Key.self)
        try object.encode(imageName, forKey: .imageName)
        try object.encode(imageDigest, forKey: .imageDigest)
        try object.encode(slots, forKey: .slots)
        try object.encode(smallest, forKey: .smallest)
        try object.encode(largest, forKey: .largest)
        try object.encode(count, forKey: .count)
        try object.encode(passed, forKey: .passed)
        try object.encode(inFlight, forKey: .inFlight)
        try object.encode(until, forKey: .until)
        try object.encode(`operator`, forKey: .operator)
        try object.encode(batch, forKey: .batch)
    }
}

extension StationStatus.Slot {
    private enum Key: CodingKey {
        case name, state, armed, code, reason, device, serial, vendorProduct, size, linkSpeed, slowLink
        case bytesDone, bytesTotal, bytesPerSecond
    }

    package func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: Key.self)
        try object.encode(name, forKey: .name)
        try object.encode(state, forKey: .state)
        try object.encode(armed, forKey: .armed)
        try object.encode(code, forKey: .code)
        try object.encode(reason, forKey: .reason)
        try object.encode(device, forKey: .device)
        try object.encode(serial, forKey: .serial)
        try object.encode(vendorProduct, forKey: .vendorProduct)
        try object.encode(size, forKey: .size)
        try object.encode(linkSpeed, forKey: .linkSpeed)
        try object.encode(slowLink, forKey: .slowLink)
        try object.encode(bytesDone, forKey: .bytesDone)
        try object.encode(bytesTotal, forKey: .bytesTotal)
        try object.encode(bytesPerSecond, forKey: .bytesPerSecond)
    }
}
