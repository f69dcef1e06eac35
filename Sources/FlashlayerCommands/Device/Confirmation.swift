// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import FoundationEssentials
import Glibc
import Model

/// Asks a person, at the terminal, whether this really is the disk.
struct Confirmation {
    private let console: Console

    init(_ console: Console) {
        self.console = console
    }

    /// Shows what will be lost and has the device's name typed.
    ///
    /// - Parameter position: which of several it is, "2 of 3".
    /// - Throws: `usage` without a terminal, `declined` for any other answer.
    func ask(for disk: Disk, position: String? = nil) throws {
        // The terminal, not standard input, which may be a pipe that knows nothing of disks.
        let terminal = unsafe open("/dev/tty", O_RDWR | O_CLOEXEC)
        guard terminal >= 0 else {
            throw FlashlayerError(
                .usage,
                "there is no terminal to ask at whether \(disk.path) may be overwritten",
                advice: "add --yes when you are sure"
            )
        }
        defer { close(terminal) }
        let name = disk.path.split(separator: "/").last.map(String.init) ?? disk.path
        let text = """

            Everything on this disk will be lost\(position.map { " (\($0))" } ?? ""):

            \(Self.description(of: disk))

            Type its name (\(console.style(name, .bold))) to go on: 
            """
        write(text.dropLast(), to: terminal)
        let answer = try readLine(from: terminal)
        guard answer == name || answer == disk.path else {
            throw FlashlayerError(.declined, "not confirmed; nothing was written")
        }
    }

    /// The disk in a few lines.
    static func description(of disk: Disk) -> String {
        let maker = [disk.vendor, disk.model].compactMap { $0 }.joined(separator: " ")
        var rows: [(String, String)] = [("device", disk.path)]
        if !maker.isEmpty { rows.append(("model", maker)) }
        if let serial = disk.serial { rows.append(("serial", serial)) }
        rows.append(("size", "\(ByteSize.describe(disk.size)) (\(disk.size) bytes)"))
        rows.append(("transport", disk.transport.rawValue + (disk.port.map { ", port \($0)" } ?? "")))
        rows.append(("contents", disk.contents ?? "nothing that is known"))
        return rows.map { "  \($0.0.padding(to: 10)) \(Printable.line($0.1))" }.joined(separator: "\n")
    }

    private func write(_ text: some StringProtocol, to descriptor: Int32) {
        let bytes = Array(text.utf8)
        _ = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
    }

    /// One line, without its end; nil when the terminal went away.
    ///
    /// - Throws: `CancellationError` after Ctrl-C: signals cancel the task, and end no call.
    private func readLine(from descriptor: Int32) throws -> String? {
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while line.count < 256 {
            try Task.checkCancellation()
            var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard unsafe poll(&waiting, 1, 100) > 0 else { continue }
            let count = unsafe read(descriptor, &byte, 1)
            if count < 0 && errno == EINTR { continue }
            guard count == 1 else { return nil }
            if byte == UInt8(ascii: "\n") { break }
            line.append(byte)
        }
        return String(decoding: line, as: UTF8.self)
    }
}
