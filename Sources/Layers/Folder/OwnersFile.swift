// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// The `owners` file beside `configs/`: `PATH USER:GROUP [MODE]`, one exception from `0:0` a line. A path may hold
/// blanks. A mode is octal and holds to the letter, group and other write included.
enum OwnersFile {
    static func apply(_ list: LayerList, to entries: inout [OverlayEntry]) throws {
        let places = Dictionary(entries.enumerated().map { ($1.path, $0) }, uniquingKeysWith: { first, _ in first })
        // All names of a file have one owner and one mode.
        let names = Dictionary(grouping: entries.indices) { entries[$0].hardLink ?? entries[$0].path }
        for line in list.lines {
            let exception = try parse(line, list)
            guard let place = places[Pathname(exception.path)] ?? Pathname(text: exception.path).flatMap({ places[$0] })
            else {
                throw list.fault(
                    line,
                    "'\(exception.path.printable)' is not in the layer's configs/",
                    advice: "owners names paths as they are below configs/, such as etc/motd"
                )
            }
            if exception.mode != nil, case .symlink = entries[place].kind {
                throw list.fault(line, "'\(exception.path.printable)' is a symbolic link, which has no mode")
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

    private static func parse(_ line: LayerList.Line, _ list: LayerList) throws -> Exception {
        let malformed = list.fault(
            line,
            "'\(String(line.text).printable)' is not PATH USER:GROUP [MODE]",
            advice: "for example: etc/kiosk/secret root:kiosk 0640"
        )
        var (rest, last) = splitLast(line.text)
        var mode: UInt16?
        if !last.contains(":") {
            guard (3...4).contains(last.utf8.count), let octal = UInt16(last, radix: 8) else { throw malformed }
            mode = octal
            (rest, last) = splitLast(rest)
        }
        let owner = last.split(separator: ":", omittingEmptySubsequences: false).map { String($0) }
        guard owner.count == 2, owner.allSatisfy(isAccount) else { throw malformed }
        var path = rest
        while path.hasPrefix("/") { path = path.dropFirst() }
        while path.hasSuffix("/") { path = path.dropLast() }
        guard !path.isEmpty else { throw malformed }
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
