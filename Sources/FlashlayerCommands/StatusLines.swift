// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// What makes lines at the bottom of a terminal change in place: ECMA-48 control sequences that every terminal knows.
enum StatusLines {
    /// - Parameters:
    ///   - old: the lines that are drawn, the cursor behind the last.
    ///   - width: columns of the terminal now; lines that were drawn when it was wider have wrapped since.
    /// - Returns: what to write; afterwards the cursor stands behind the last new line.
    static func redrawing(_ old: [String], as new: [String], width: Int) -> String {
        let rows = old.reduce(0) { $0 + 1 + max(0, $1.count - 1) / (width + 1) }
        let up = rows > 1 ? "\u{1B}[\(rows - 1)A" : ""
        // From the first old line on everything is erased: nothing below it is anybody's but ours.
        return up + "\r\u{1B}[J" + new.joined(separator: "\n")
    }
}
