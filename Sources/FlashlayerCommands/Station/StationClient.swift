// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Model
import ServiceManager
import StationProtocol
import Threads

/// Speaks to the daemon of the station.
struct StationClient: Sendable {
    let socket: String

    /// Asks for one thing.
    ///
    /// - Returns: the status afterwards.
    /// - Throws: what the station answers; `unavailable` when there is none, `not-permitted`.
    func ask(_ request: StationRequest) async throws -> StationStatus {
        try await onAbandonableThread(named: "station") {
            let connection = try connect()
            try say(request, connection)
            return try status(connection)
        }
    }

    /// Asks for the status at each change, until the task is cancelled or nobody is told any more.
    ///
    /// - Parameter onStatus: returns false to end it.
    /// - Throws: as `ask`; `unavailable` when the station ends.
    func watch(_ onStatus: @escaping @Sendable (StationStatus) -> Bool) async throws {
        try await onAbandonableThread(named: "station") {
            let connection = try connect()
            try say(.status(watch: true), connection)
            while onStatus(try status(connection)) {}
        }
    }

    private func connect() throws -> UnixConnection {
        do {
            return try UnixConnection(to: socket)
        } catch let error as FlashlayerError where error.code == .notPermitted {
            throw FlashlayerError(
                .notPermitted,
                error.message,
                advice: "run it as root (sudo), or as a member of the station's group"
            )
        } catch let error as FlashlayerError where error.code != .usage {
            throw FlashlayerError(
                .unavailable,
                "no station answers at \(socket)",
                advice: "start it: systemctl start flashlayerd (its log: journalctl --unit flashlayerd)"
            )
        }
    }

    private func say(_ request: StationRequest, _ connection: UnixConnection) throws {
        guard let data = try? JSONEncoder().encode(request), connection.say(String(decoding: data, as: UTF8.self))
        else {
            throw Self.ended
        }
    }

    private func status(_ connection: UnixConnection) throws -> StationStatus {
        guard let line = connection.line() else { throw Self.ended }
        guard let reply = try? JSONDecoder().decode(StationReply.self, from: Data(line.utf8)) else {
            throw FlashlayerError(
                .fault,
                "the station's answer cannot be read",
                advice: "flashlayer and flashlayerd must be of one version"
            )
        }
        if let error = reply.error { throw error }
        guard let status = reply.status else { throw Self.ended }
        return status
    }

    private static var ended: FlashlayerError {
        FlashlayerError(.unavailable, "the station has ended", advice: "its log: journalctl --unit flashlayerd")
    }
}
