// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

extension Layer.Mention.Part {
    /// Whether an entry says that a package must not be there. A minus in front of a Python entry makes it an option.
    func isRemoval(_ entry: String) -> Bool {
        (self == .debianPackage || self == .redHatPackage) && entry.hasPrefix("-")
    }

    /// What an entry and its contrary have in common: `curl=7.88*` and `-curl` are about `curl`. Of `curl-7.76*` nobody
    /// can say where its name ends, and so it stands for itself.
    func subject(of entry: String) -> String {
        let name = isRemoval(entry) ? entry.dropFirst() : entry[...]
        return String(self == .debianPackage ? name.prefix { $0 != "=" && $0 != "/" } : name)
    }
}

extension Layer.Mention {
    var isRemoval: Bool { part.isRemoval(text) }
    var subject: String { part.subject(of: text) }
}

/// Packages that are asked for in one place and asked to be absent in another: as with files, the later one holds.
enum Contradictions {
    /// - Parameter entries: in the order of layers.
    /// - Returns: those that hold.
    static func settled(_ entries: [String], _ part: Layer.Mention.Part) -> [String] {
        let last = Dictionary(entries.map { (part.subject(of: $0), part.isRemoval($0)) }, uniquingKeysWith: { $1 })
        return entries.filter { last[part.subject(of: $0)] == part.isRemoval($0) }
    }

    /// - Parameter mentions: of one layer and one part.
    static func report(within mentions: [Layer.Mention], _ findings: Findings) {
        for (index, unwanted) in mentions.enumerated() where unwanted.isRemoval {
            let contrary = mentions.indices.last { place in
                !mentions[place].isRemoval && mentions[place].subject == unwanted.subject
            }
            guard let contrary else { continue }
            let place = mentions[contrary].place
            let what = contrary < index ? "takes away what \(place) asks for" : "has no effect: \(place) asks for it"
            findings.warn(unwanted.file, unwanted.line, "'\(unwanted.text)' \(what)")
        }
    }

    /// - Parameter layers: in the order in which they are applied.
    static func report(across layers: [Layer], _ findings: Findings) {
        for part in [Layer.Mention.Part.debianPackage, .redHatPackage] {
            var standing: [String: (layer: String, mention: Layer.Mention)] = [:]
            for layer in layers {
                let mentions = layer.mentions.filter { $0.part == part }
                let own = Dictionary(mentions.map { ($0.subject, $0) }, uniquingKeysWith: { $1 })
                for mention in mentions where own[mention.subject] == mention {
                    let earlier = standing.updateValue((layer.name, mention), forKey: mention.subject)
                    guard let earlier, earlier.layer != layer.name, earlier.mention.isRemoval != mention.isRemoval
                    else { continue }
                    let (verb, other) =
                        mention.isRemoval ? ("takes out", "brings") : ("brings back", "takes out")
                    findings.warn(
                        mention.file,
                        mention.line,
                        "'\(mention.text)' \(verb) what layer '\(earlier.layer.printable)' \(other): "
                            + "'\(earlier.mention.text)' at \(earlier.mention.place)",
                        hint: "the later layer holds"
                    )
                }
            }
        }
    }
}
