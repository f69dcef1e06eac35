// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
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
        let terminal = unsafe open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)
        guard terminal >= 0 else {
            throw FlashlayerError(
                .usage,
                "there is no terminal to ask at whether \(disk.path) may be overwritten",
                advice: "add --yes when you are sure"
            )
        }
        defer { close(terminal) }
        console.clearStatus()
        let name = disk.path.split(separator: "/").last.map(String.init) ?? disk.path
        let lines = [
            "",
            "Everything on this disk will be lost\(position.map { " (\($0))" } ?? ""): \(Self.losses(of: disk)).",
            "",
            Self.description(of: disk),
            "",
            "",
        ]
        Console.write(lines.joined(separator: "\n"), to: terminal)
        // What was typed before the question was there is no answer to it; what is typed once it is there, is.
        _ = tcflush(terminal, TCIFLUSH)
        // The answer stands behind exactly one space.
        Console.write("Type its name (\(console.style(name, .bold))) to go on: ", to: terminal)
        let answer = try readLine(from: terminal)
        guard answer == name || answer == disk.path else {
            throw FlashlayerError(
                .declined,
                "not confirmed: the name of the disk, \(name), was not typed",
                advice: "nothing was written"
            )
        }
    }

    /// What is gone afterwards, in a few words.
    static func losses(of disk: Disk) -> String {
        let content = disk.subject.content
        let count = disk.partitions.count
        let partitions = count == 1 ? "its partition" : "all \(count) partitions"
        let parts = [
            content?.table == nil ? nil : "the partition table", count == 0 ? nil : partitions,
            content?.superblock.map { "the \(Printable.line($0.type)) on the whole disk" },
        ]
        let words = parts.compactMap { $0 }
        return words.isEmpty ? "whatever is on it" : words.joined(separator: ", ")
    }

    /// The disk in a few lines.
    static func description(of disk: Disk) -> String {
        var rows: [(String, String)] = [("device", disk.path)]
        if let vendor = disk.vendor { rows.append(("vendor", vendor)) }
        if let model = disk.model { rows.append(("model", model)) }
        if let serial = disk.serial { rows.append(("serial", serial)) }
        rows.append(("size", "\(ByteSize.describe(disk.size)) (\(disk.size) bytes)"))
        let link = [disk.linkSpeed.map { "\($0) Mbit/s" }, disk.port.map { "port \($0)" }]
        rows.append(("attached", ([disk.transport.rawValue] + link.compactMap { $0 }).joined(separator: ", ")))
        rows.append(("contents", disk.contents ?? "nothing that is known"))
        if let whole = disk.subject.content?.superblock, !disk.partitions.isEmpty {
            rows.append(("", words("whole disk", ByteSize.describe(disk.size), whole.type, whole.label, [])))
        }
        let most = 12
        for partition in disk.partitions.prefix(most) {
            let name = partition.path ?? "partition \(partition.number)"
            rows.append(
                (
                    "",
                    words(
                        name,
                        ByteSize.describe(partition.size),
                        partition.fsType,
                        partition.label,
                        partition.mountPoints
                    )
                )
            )
        }
        if disk.partitions.count > most { rows.append(("", "and \(disk.partitions.count - most) more")) }
        for (index, point) in disk.mountPoints.enumerated() { rows.append((index == 0 ? "mounted" : "", point)) }
        return rows.map { "  \($0.0.padding(to: 10)) \(Printable.line($0.1))" }.joined(separator: "\n")
    }

    private static func words(_ name: String, _ size: String, _ type: String?, _ label: String?, _ mounts: [String])
        -> String
    {
        let mounted = mounts.isEmpty ? nil : "mounted at \(mounts.joined(separator: ", "))"
        return [name, size, type, label, mounted].compactMap { $0 }.joined(separator: "  ")
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
