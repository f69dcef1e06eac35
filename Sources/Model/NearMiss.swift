// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// Finds the word that was probably meant.
package enum NearMiss {
    /// - Returns: the known word closest to `word`, or nil when none is close. Case and `_` against `-` cost nothing.
    package static func of(_ word: String, among known: some Sequence<String>) -> String? {
        let plain = normalized(word)
        let limit = max(1, plain.count / 3)
        let best = known.map { (word: $0, cost: distance(plain, normalized($0))) }.min { $0.cost < $1.cost }
        guard let best, best.cost <= limit else { return nil }
        return best.word
    }

    private static func normalized(_ word: String) -> [UInt8] {
        word.lowercased().utf8.map { $0 == UInt8(ascii: "_") ? UInt8(ascii: "-") : $0 }
    }

    /// Insertions, deletions, substitutions and swaps of neighbours, each at the cost of one.
    private static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var rows = [Array(0...b.count)]
        for i in a.indices {
            var row = [i + 1]
            for j in b.indices {
                var cost = min(rows[i][j + 1] + 1, row[j] + 1, rows[i][j] + (a[i] == b[j] ? 0 : 1))
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { cost = min(cost, rows[i - 1][j - 1] + 1) }
                row.append(cost)
            }
            rows.append(row)
        }
        return rows[a.count][b.count]
    }
}
