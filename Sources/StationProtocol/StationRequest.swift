// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// One line that a client says at the daemon's socket: a JSON object whose `request` is the verb.
package enum StationRequest: Sendable, Equatable {
    case arm(ArmRequest)
    /// - Parameter cancel: jobs that run are stopped too; otherwise they end by themselves.
    case disarm(cancel: Bool)
    /// - Parameter watch: a line at every change, until the client hangs up.
    case status(watch: Bool)
    case records(RecordsRequest)
    case eject(slot: String)
    /// Ends a quarantine, a failure that nobody has pulled, or the wait for a worker that hangs.
    case release(slot: String)
}

package struct ArmRequest: Codable, Sendable, Equatable {
    /// An absolute path: the daemon has another working directory.
    package var image: String
    /// As it was typed: `1-8,front`.
    package var slots: String
    /// Bytes.
    package var smallest: UInt64?
    package var largest: UInt64?
    package var count: Int?
    /// Seconds since 1970.
    package var until: Int64?
    package var `operator`: String?
    package var batch: String?

    package init(image: String, slots: String) {
        self.image = image
        self.slots = slots
    }
}

/// Which records; nil asks for all.
package struct RecordsRequest: Codable, Sendable, Equatable {
    /// Seconds since 1970, the second one excluded.
    package var from: Int64?
    package var to: Int64?
    package var slot: String?
    package var serial: String?
    package var verdict: String?
    package var batch: String?

    package init() {}
}

extension StationRequest: Codable {
    private enum Key: CodingKey {
        case request, arm, cancel, watch, records, slot
    }

    private enum Verb: String, Codable {
        case arm, disarm, status, records, eject, release
    }

    package init(from decoder: any Decoder) throws {
        let object = try decoder.container(keyedBy: Key.self)
        switch try object.decode(Verb.self, forKey: .request) {
        case .arm: self = .arm(try object.decode(ArmRequest.self, forKey: .arm))
        case .disarm: self = .disarm(cancel: try object.decodeIfPresent(Bool.self, forKey: .cancel) ?? false)
        case .status: self = .status(watch: try object.decodeIfPresent(Bool.self, forKey: .watch) ?? false)
        case .records:
            self = .records(try object.decodeIfPresent(RecordsRequest.self, forKey: .records) ?? RecordsRequest())
        case .eject: self = .eject(slot: try object.decode(String.self, forKey: .slot))
        case .release: self = .release(slot: try object.decode(String.self, forKey: .slot))
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: Key.self)
        switch self {
        case .arm(let arm):
            try object.encode(Verb.arm, forKey: .request)
            try object.encode(arm, forKey: .arm)
        case .disarm(let cancel):
            try object.encode(Verb.disarm, forKey: .request)
            try object.encode(cancel, forKey: .cancel)
        case .status(let watch):
            try object.encode(Verb.status, forKey: .request)
            try object.encode(watch, forKey: .watch)
        case .records(let records):
            try object.encode(Verb.records, forKey: .request)
            try object.encode(records, forKey: .records)
        case .eject(let slot):
            try object.encode(Verb.eject, forKey: .request)
            try object.encode(slot, forKey: .slot)
        case .release(let slot):
            try object.encode(Verb.release, forKey: .request)
            try object.encode(slot, forKey: .slot)
        }
    }
}
