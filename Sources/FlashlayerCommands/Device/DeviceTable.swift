// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import Model

/// Disks as lines of at most 100 columns.
struct DeviceTable {
    private static let width = 100
    private static let headings = ["DEVICE", "SIZE", "BY", "MODEL", "SERIAL", "CONTENTS", "STATE"]
    /// The room of each column at most; the last two share what is left.
    private static let limits = [20, 8, 8, 20, 12]
    private static let gap = "  "

    let lines: [String]

    /// - Parameter withReasons: a line of evidence below a disk for each refusal.
    init(_ disks: [Disk], withReasons: Bool) {
        let rows = disks.map { disk in
            [
                disk.path, disk.size == 0 ? "-" : ByteSize.describe(disk.size), disk.transport.rawValue, disk.name,
                Self.printable(disk.serial ?? "-"), Self.printable(disk.contents ?? "-"), disk.state,
            ]
        }
        let table = [Self.headings] + rows
        var widths = Self.limits.enumerated().map { column, limit in
            min(limit, table.map { $0[column].count }.max() ?? 0)
        }
        let left = Self.width - widths.reduce(0, +) - Self.gap.count * (Self.headings.count - 1)
        let needs = (5...6).map { column in table.map { $0[column].count }.max() ?? 0 }
        // The state says what to do, so it is cut last.
        let states = min(needs[1], left - min(needs[0], 20))
        widths += [min(left - states, needs[0]), states]
        let print = { (row: [String]) in
            zip(row, widths).map { Self.fit($0, $1) }.joined(separator: Self.gap).trimmingTrailingSpaces
        }
        lines =
            [print(Self.headings)]
            + zip(disks, rows).flatMap { disk, row in
                [print(row)] + (withReasons ? disk.refusals.flatMap { Self.reason($0) } : [])
            }
    }

    /// One line for each thing that was seen.
    private static func reason(_ refusal: Refusal) -> [String] {
        let seen = printable(refusal.evidence).split(separator: "; ")
        return seen.enumerated().map { index, part in
            index == 0 ? "    \(refusal.code.rawValue): \(part)" : "      \(part)"
        }
    }

    private static func fit(_ text: String, _ width: Int) -> String {
        guard text.count > width else { return text + String(repeating: " ", count: width - text.count) }
        return text.prefix(max(0, width - 1)) + "…"
    }

    /// A device may call itself anything: what could move the cursor, change colours or turn the line around is shown
    /// as a question mark. JSON has the bytes as they are.
    static func printable(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { scalar in
                    switch scalar.properties.generalCategory {
                    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned:
                        "?"
                    default: scalar
                    }
                }
            )
        )
    }
}

extension Disk {
    fileprivate var name: String {
        let words = [vendor, model].compactMap { $0 }
        return words.isEmpty ? "-" : DeviceTable.printable(words.joined(separator: " "))
    }

    fileprivate var state: String {
        if refusals.isEmpty { return "ready" }
        let codes = refusals.filter { !$0.overridable }.map(\.code.rawValue)
        guard codes.isEmpty else { return codes.joined(separator: ", ") }
        return refusals.map { "--allow \($0.code.rawValue)" }.joined(separator: " ")
    }
}

extension String {
    fileprivate var trimmingTrailingSpaces: String {
        var text = self[...]
        while text.last == " " { text = text.dropLast() }
        return String(text)
    }
}
