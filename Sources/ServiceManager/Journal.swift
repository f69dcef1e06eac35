// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc

/// The system's log, with fields that can be searched for: `journalctl FLASHLAYER_SLOT=3`. Where no journal listens,
/// messages go to standard error, after the prefix of sd-daemon(3).
///
/// See "Native Journal Protocol" on systemd.io.
package final class Journal: Sendable {
    /// The levels of syslog(3).
    package enum Priority: Int, Sendable {
        case error = 3
        case warning = 4
        case notice = 5
        case info = 6
    }

    package static let socketPath = "/run/systemd/journal/socket"

    private let socket: DatagramSocket?
    private let identifier: String
    private let fallback: @Sendable (String) -> Void

    /// - Parameters:
    ///   - identifier: what `journalctl --identifier` asks for.
    ///   - fallback: is given lines for which there is no journal.
    package init(
        identifier: String,
        socketPath: String = Journal.socketPath,
        fallback: @escaping @Sendable (String) -> Void = Journal.standardError
    ) {
        self.identifier = identifier
        self.fallback = fallback
        socket = DatagramSocket(to: socketPath)
    }

    /// - Parameter fields: of the service's own; names of capitals, digits and underscores.
    package func write(_ priority: Priority, _ message: String, _ fields: [String: String] = [:]) {
        var bytes: [UInt8] = []
        Self.append("MESSAGE", message, to: &bytes)
        Self.append("PRIORITY", "\(priority.rawValue)", to: &bytes)
        Self.append("SYSLOG_IDENTIFIER", identifier, to: &bytes)
        for (name, value) in fields.sorted(by: { $0.key < $1.key }) { Self.append(name, value, to: &bytes) }
        guard socket?.send(bytes) != true else { return }
        let named = fields.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
        let line = (message + named).map { $0.isNewline ? " " : String($0) }.joined()
        fallback("<\(priority.rawValue)>\(line)")
    }

    /// `NAME=value`, or, where the value has a line break, the name, its size as 64 bits of little endian, and the bytes.
    private static func append(_ name: String, _ value: String, to bytes: inout [UInt8]) {
        let text = Array(value.utf8)
        bytes += name.utf8
        if text.contains(UInt8(ascii: "\n")) {
            bytes.append(UInt8(ascii: "\n"))
            bytes += (0..<8).map { UInt8(truncatingIfNeeded: UInt64(text.count) >> (8 * UInt64($0))) }
        } else {
            bytes.append(UInt8(ascii: "="))
        }
        bytes += text
        bytes.append(UInt8(ascii: "\n"))
    }

    package static let standardError: @Sendable (String) -> Void = { line in
        let bytes = Array((line + "\n").utf8)
        // One call a line, so that lines of several threads stay whole.
        _ = unsafe Glibc.write(2, bytes, bytes.count)
    }
}
