// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import ImageBuilder
import Layers
import Model
import Resolution

/// `flashlayer cache list`
struct CacheList: Operation {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List what is in the cache, with its size and when it was last of use.",
        usage: "flashlayer cache list [--json]"
    )

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var common: CommonOptions

    private struct Line: Encodable {
        let kind: String
        let path: String
        let description: String
        /// Bytes on the disk of this machine.
        let size: UInt64
        /// Seconds.
        let age: Int
    }

    func perform(_ console: Console) async throws {
        let cache = try Cache()
        let entries = CachePruning(cache: cache).entries()
        if json {
            Console.answer(
                try JSONText.of(
                    entries.map {
                        Line(
                            kind: $0.kind.rawValue,
                            path: $0.path,
                            description: $0.description,
                            size: $0.size,
                            age: $0.age
                        )
                    }
                )
            )
            return
        }
        Console.answer(Self.table(entries, cache))
    }

    private static func table(_ entries: [CachePruning.Entry], _ cache: Cache) -> String {
        var rows: [[String]] = []
        for kind in Cache.Kind.allCases {
            let some = entries.filter { $0.kind == kind }
            guard !some.isEmpty else { continue }
            if kind.isShownAsOne {
                let size = some.reduce(0) { $0 + $1.size }
                let age = some.map(\.age).min() ?? 0
                rows.append([kind.title, ByteSize.describe(size), self.age(age), "\(some.count)"])
            } else {
                rows += some.map {
                    [kind.title, ByteSize.describe($0.size), self.age($0.age), $0.description.printable]
                }
            }
        }
        let total = entries.reduce(0) { $0 + $1.size }
        let head = ["KIND", "SIZE", "LAST USE", "WHAT"]
        let lines = rows.isEmpty ? [] : TextTable([head] + rows).lines
        return (lines + ["\(ByteSize.describe(total)) in \(cache.path)"]).joined(separator: "\n")
    }

    static func age(_ seconds: Int) -> String {
        switch seconds {
        case ..<120: "now"
        case ..<7200: "\(seconds / 60) min ago"
        case ..<172_800: "\(seconds / 3600) h ago"
        default: "\(seconds / 86400) days ago"
        }
    }
}
