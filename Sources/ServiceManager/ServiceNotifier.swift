// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc

/// Tells the service manager how a service is. See sd_notify(3): datagrams of `KEY=VALUE` lines to the socket that
/// `NOTIFY_SOCKET` names. Without one, as in a terminal, nothing is told and nothing fails.
package struct ServiceNotifier: Sendable {
    private let socket: DatagramSocket?

    /// - Parameter environment: that of the process, as the manager set it.
    package init(environment: [String: String]) {
        socket = environment["NOTIFY_SOCKET"].flatMap { DatagramSocket(to: $0) }
    }

    /// The service does its work from now on.
    package func ready(_ status: String) {
        send(["READY=1", Self.status(status)])
    }

    /// What `systemctl status` shows in one line.
    package func status(_ text: String) {
        send([Self.status(text)])
    }

    /// The service has begun to end.
    package func stopping(_ status: String) {
        send(["STOPPING=1", Self.status(status)])
    }

    /// It is alive. Silence for longer than `Watchdog.limit` ends it.
    package func alive() {
        send(["WATCHDOG=1"])
    }

    /// Asks for more time to end: microseconds from now.
    package func extendStop(by duration: Duration) {
        let microseconds =
            duration.components.seconds * 1_000_000 + duration.components.attoseconds / 1_000_000_000_000
        send(["EXTEND_TIMEOUT_USEC=\(microseconds)"])
    }

    /// A line break would end the value, and begin a key of somebody else's choice.
    private static func status(_ text: String) -> String {
        "STATUS=" + text.map { $0.isNewline ? " " : String($0) }.joined()
    }

    private func send(_ lines: [String]) {
        socket?.send(Array(lines.joined(separator: "\n").utf8))
    }
}

/// How often a service has to say that it is alive. See sd_watchdog_enabled(3).
package struct Watchdog: Sendable, Equatable {
    /// Silence for as long as this ends the service.
    package let limit: Duration

    /// Half of it, as the manual advises.
    package var interval: Duration { limit / 2 }

    /// - Returns: nil when nobody watches this very process.
    package init?(environment: [String: String], processID: Int32 = getpid()) {
        guard let microseconds = environment["WATCHDOG_USEC"].flatMap(Int64.init), microseconds > 0 else { return nil }
        if let watched = environment["WATCHDOG_PID"], Int32(watched) != processID { return nil }
        limit = .microseconds(microseconds)
    }
}
