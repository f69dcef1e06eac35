// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Model
import ServiceManager
import StationProtocol
import Threads

/// Answers what clients ask at the daemon's socket: a line of JSON each. Who may connect may ask; that is decided by the
/// owner, the group and the mode of the socket.
struct ControlService: Sendable {
    /// How long a watcher hears nothing at most: then one that has gone is noticed.
    private static let pulse = Duration.seconds(5)

    let conductor: Conductor
    let census: @Sendable () async throws -> MediaCensus

    /// Serves a connection to its end; blocks.
    func serve(_ connection: UnixConnection) {
        while let line = connection.line() {
            let request: StationRequest
            do {
                request = try JSONDecoder().decode(StationRequest.self, from: Data(line.utf8))
            } catch {
                let failure = FlashlayerError(
                    .usage,
                    "this is no request of the station",
                    advice: "flashlayer and flashlayerd must be of one version"
                )
                guard say(StationReply(error: failure), connection) else { return }
                continue
            }
            if case .status(watch: true) = request { return watch(connection) }
            guard say(answer(request, connection.peer), connection) else { return }
        }
    }

    private func watch(_ connection: UnixConnection) {
        var issue = conductor.bulletin.latest
        while say(StationReply(status: issue.status), connection) {
            if let next = conductor.bulletin.wait(after: issue.number, upTo: Self.pulse) { issue = next }
        }
    }

    private func answer(_ request: StationRequest, _ peer: UnixConnection.Peer?) -> StationReply {
        do {
            try waitFor {
                switch request {
                case .arm(var arm):
                    arm.operator = arm.operator ?? peer.flatMap { UserName.of($0.userID) }
                    try await conductor.arm(arm, census: census)
                case .disarm(let cancel): await conductor.disarm(cancel: cancel)
                case .eject(let slot): try await conductor.eject(slot: slot)
                case .release(let slot): try await conductor.release(slot: slot)
                case .status: break
                case .records:
                    throw FlashlayerError(
                        .unavailable,
                        "this station keeps no records but those in the system's log",
                        advice: "journalctl --unit flashlayerd FLASHLAYER_RESULT=passed"
                    )
                }
            }
            return StationReply(status: conductor.bulletin.latest.status)
        } catch {
            return StationReply(error: FlashlayerError(wrapping: error))
        }
    }

    private func say(_ reply: StationReply, _ connection: UnixConnection) -> Bool {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(reply) else { return false }
        return connection.say(String(decoding: data, as: UTF8.self))
    }

    /// Blocks this thread, which is the connection's own, until asynchronous work is done.
    private func waitFor(_ work: @escaping @Sendable () async throws -> Void) throws {
        let outcome = Monitor<Result<Void, any Error>?>(nil)
        Task {
            do {
                try await work()
                outcome.update { $0 = .success(()) }
            } catch {
                outcome.update { $0 = .failure(error) }
            }
        }
        try outcome.wait { $0 }.get()
    }
}
