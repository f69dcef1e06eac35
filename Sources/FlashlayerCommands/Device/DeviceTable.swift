// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import Model

/// Disks as lines of at most 100 columns, whatever they call themselves.
struct DeviceTable {
    private static let headings = ["DEVICE", "SIZE", "BY", "MODEL", "SERIAL", "CONTENTS", "STATE"]
    /// The room of each column at most, before the state.
    private static let limits = [20, 8, 8, 20, 12, 60]
    /// Columns that make room for the state, and what they keep: the contents first.
    private static let yielding = [(column: 5, keeps: 8), (column: 3, keeps: 8), (column: 4, keeps: 6)]
    private static let gap = "  "

    let lines: [String]

    /// - Parameters:
    ///   - withReasons: a line of evidence below a disk for each refusal.
    ///   - width: columns.
    init(_ disks: [Disk], withReasons: Bool, width: Int = 100) {
        let rows = disks.map { disk in
            [
                disk.path, disk.size == 0 ? "-" : ByteSize.describe(disk.size), disk.transport.rawValue, disk.name,
                Printable.line(disk.serial ?? "-"), Printable.line(disk.contents ?? "-"),
            ]
        }
        let table = [Self.headings] + rows
        var widths = Self.limits.enumerated().map { column, limit in
            min(limit, table.map { TerminalColumns.of($0[column]) }.max() ?? 0)
        }
        let left = { width - widths.reduce(0) { $0 + $1 + Self.gap.count } }
        // The state says what to do: what does not fit in its line goes on in the next one.
        let needed = disks.map { $0.state.joined(separator: " ").count }.max() ?? 0
        for (column, keeps) in Self.yielding {
            widths[column] -= max(0, min(needed - left(), widths[column] - keeps))
        }
        let states = left()
        let print = { (row: [String], state: [String]) in
            let start = zip(row, widths).map { TerminalColumns.fit($0, $1) + Self.gap }.joined()
            let indent = String(repeating: " ", count: TerminalColumns.of(start))
            return Self.wrapped(state, states).enumerated().map { ($0 == 0 ? start : indent) + $1 }
        }
        lines =
            print(Self.headings.dropLast(), Self.headings.suffix(1))
            + zip(disks, rows).flatMap { disk, row in
                print(row, disk.state) + (withReasons ? disk.refusals.flatMap { Self.reason($0, width) } : [])
            }
    }

    /// One line for each thing that was seen; what finds no room goes on below itself.
    private static func reason(_ refusal: Refusal, _ width: Int) -> [String] {
        let seen = Printable.line(refusal.evidence).split(separator: "; ")
        return seen.enumerated().flatMap { index, part in
            let words = (index == 0 ? "\(refusal.code.rawValue): \(part)" : String(part)).split(separator: " ")
            return wrapped(words.map(String.init), width - 8).enumerated().map { line, text in
                (index == 0 && line == 0 ? "    " : line == 0 ? "      " : "        ") + text
            }
        }
    }

    /// Lines of whole words; a word that is longer than a line is broken.
    private static func wrapped(_ words: [String], _ width: Int) -> [String] {
        words.reduce(into: []) { lines, word in
            var word = word
            if let last = lines.last, TerminalColumns.of(last) + 1 + TerminalColumns.of(word) <= width {
                lines[lines.count - 1] = "\(last) \(word)"
                return
            }
            while TerminalColumns.of(word) > width {
                let part = TerminalColumns.prefix(of: word, max(2, width))
                lines.append(part)
                word = String(word.dropFirst(part.count))
            }
            if !word.isEmpty || lines.isEmpty { lines.append(word) }
        }
    }
}

extension Disk {
    fileprivate var name: String {
        let words = [vendor, model].compactMap { $0 }
        return words.isEmpty ? "-" : Printable.line(words.joined(separator: " "))
    }

    /// Words that stand in one line where there is room.
    fileprivate var state: [String] {
        if refusals.isEmpty { return ["ready"] }
        let codes = refusals.filter { !$0.overridable }.map(\.code.rawValue)
        guard codes.isEmpty else { return codes.dropLast().map { $0 + "," } + codes.suffix(1) }
        return refusals.map { "--allow \($0.code.rawValue)" }
    }
}
