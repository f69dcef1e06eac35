// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// The `owners` file beside `configs/`: `PATH USER:GROUP [MODE]`, one exception from `0:0` a line. A path may hold
/// blanks, and may be written as the text of a `Pathname`. A mode is octal and holds to the letter, group and other write included.
enum OwnersFile {
    static func apply(_ list: LayerList, to entries: inout [OverlayEntry], _ findings: Findings) {
        let places = Dictionary(entries.enumerated().map { ($1.path, $0) }, uniquingKeysWith: { first, _ in first })
        // All names of a file have one owner and one mode.
        let names = Dictionary(grouping: entries.indices) { entries[$0].hardLink ?? entries[$0].path }
        for line in list.lines {
            guard let exception = parse(line) else {
                findings.error(
                    list.file,
                    line.number,
                    "'\(String(line.text).printable)' is not PATH USER:GROUP [MODE]",
                    hint: "for example: etc/kiosk/secret root:kiosk 0640"
                )
                continue
            }
            guard let place = places[Pathname(exception.path)] ?? Pathname(text: exception.path).flatMap({ places[$0] })
            else {
                findings.error(
                    list.file,
                    line.number,
                    "'\(exception.path.printable)' is not in the layer's configs/",
                    hint: "owners names paths as they are below configs/, such as etc/motd"
                )
                continue
            }
            let kind = entries[place].kind
            if exception.mode != nil, case .symlink = kind {
                let path = exception.path.printable
                findings.error(list.file, line.number, "'\(path)' is a symbolic link, which has no mode")
                continue
            }
            if let mode = exception.mode, mode & 0o002 != 0, kind != .directory || mode & 0o1000 == 0 {
                let hint = kind == .directory ? "for a folder like /tmp, that is mode 1777" : nil
                let path = exception.path.printable
                findings.warn(list.file, line.number, "everybody may write to '\(path)'", hint: hint)
            }
            for index in names[entries[place].hardLink ?? entries[place].path] ?? [] {
                entries[index].user = exception.user
                entries[index].group = exception.group
                entries[index].hasOwnersLine = true
                entries[index].mode = exception.mode ?? entries[index].mode
            }
        }
    }

    private struct Exception {
        var path: String
        var user: String
        var group: String
        var mode: UInt16?
    }

    private static func parse(_ line: LayerList.Line) -> Exception? {
        var (rest, last) = splitLast(line.text)
        var mode: UInt16?
        if !last.contains(":") {
            guard (3...4).contains(last.utf8.count), let octal = UInt16(last, radix: 8) else { return nil }
            mode = octal
            (rest, last) = splitLast(rest)
        }
        let owner = last.split(separator: ":", omittingEmptySubsequences: false).map { String($0) }
        guard owner.count == 2, owner.allSatisfy(isAccount) else { return nil }
        var path = rest
        while path.hasPrefix("/") { path = path.dropFirst() }
        while path.hasSuffix("/") { path = path.dropLast() }
        guard !path.isEmpty else { return nil }
        return Exception(path: String(path), user: owner[0], group: owner[1], mode: mode)
    }

    private static func splitLast(_ text: Substring) -> (rest: Substring, last: Substring) {
        let trimmed = LayerList.trim(text)
        guard let blank = trimmed.unicodeScalars.lastIndex(where: LayerList.isBlank) else { return ("", trimmed) }
        return (LayerList.trim(trimmed[..<blank]), Substring(trimmed.unicodeScalars[blank...].dropFirst()))
    }

    /// A number, or a name as useradd(8) takes it.
    private static func isAccount(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count <= 32 && !name.hasPrefix("-") && name.isASCIIAlphanumeric(or: "_.-$")
    }
}
