// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import Model

/// Disks as lines of at most 100 columns.
struct DeviceTable {
    private static let width = 100
    private static let headings = ["DEVICE", "SIZE", "BY", "MODEL", "SERIAL", "CONTENTS", "STATE"]
    /// The room of each column at most, before the state.
    private static let limits = [20, 8, 8, 20, 12, 60]
    /// Columns that make room for the state, and what they keep: the contents first.
    private static let yielding = [(column: 5, keeps: 8), (column: 3, keeps: 8), (column: 4, keeps: 6)]
    private static let gap = "  "

    let lines: [String]

    /// - Parameter withReasons: a line of evidence below a disk for each refusal.
    init(_ disks: [Disk], withReasons: Bool) {
        let rows = disks.map { disk in
            [
                disk.path, disk.size == 0 ? "-" : ByteSize.describe(disk.size), disk.transport.rawValue, disk.name,
                Printable.line(disk.serial ?? "-"), Printable.line(disk.contents ?? "-"),
            ]
        }
        let table = [Self.headings] + rows
        var widths = Self.limits.enumerated().map { column, limit in
            min(limit, table.map { $0[column].count }.max() ?? 0)
        }
        let left = { Self.width - widths.reduce(0) { $0 + $1 + Self.gap.count } }
        // The state says what to do: what does not fit in its line goes on in the next one.
        let needed = disks.map { $0.state.joined(separator: " ").count }.max() ?? 0
        for (column, keeps) in Self.yielding {
            widths[column] -= max(0, min(needed - left(), widths[column] - keeps))
        }
        let states = left()
        let print = { (row: [String], state: [String]) in
            let start = zip(row, widths).map { Self.fit($0, $1) + Self.gap }.joined()
            let indent = String(repeating: " ", count: start.count)
            return Self.wrapped(state, states).enumerated().map { ($0 == 0 ? start : indent) + $1 }
        }
        lines =
            print(Self.headings.dropLast(), Self.headings.suffix(1))
            + zip(disks, rows).flatMap { disk, row in
                print(row, disk.state) + (withReasons ? disk.refusals.flatMap { Self.reason($0) } : [])
            }
    }

    /// One line for each thing that was seen.
    private static func reason(_ refusal: Refusal) -> [String] {
        let seen = Printable.line(refusal.evidence).split(separator: "; ")
        return seen.enumerated().map { index, part in
            index == 0 ? "    \(refusal.code.rawValue): \(part)" : "      \(part)"
        }
    }

    private static func fit(_ text: String, _ width: Int) -> String {
        guard text.count > width else { return text + String(repeating: " ", count: width - text.count) }
        return text.prefix(max(0, width - 1)) + "…"
    }

    /// Lines of whole words.
    private static func wrapped(_ words: [String], _ width: Int) -> [String] {
        words.reduce(into: []) { lines, word in
            if let last = lines.last, last.count + 1 + word.count <= width {
                lines[lines.count - 1] = "\(last) \(word)"
            } else {
                lines.append(word)
            }
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
