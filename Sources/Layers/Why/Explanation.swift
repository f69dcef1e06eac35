// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// Why something is in an image: who brings it, and who else would have. The names of the properties are those of
/// `why --json`.
package struct Explanation: Codable, Sendable, Equatable {
    package enum Kind: String, Codable, Sendable {
        case path, package, variable
    }

    /// One who asks for it.
    package struct Source: Codable, Sendable, Equatable {
        /// nil: the recipe, or flashlayer itself.
        package var layer: String?
        package var phase: Phase
        /// On this machine: a list with its line, a file below `configs/`, the recipe. nil: flashlayer itself.
        package var file: String?
        package var line: Int?
        /// What stands there: a package as it is written, `KEY=VALUE`, what kind of file it is.
        package var says: String
        /// false: another one took its place.
        package var holds: Bool

        package init(
            layer: String? = nil,
            phase: Phase,
            file: String? = nil,
            line: Int? = nil,
            says: String,
            holds: Bool = true
        ) {
            self.layer = layer
            self.phase = phase
            self.file = file
            self.line = line
            self.says = says
            self.holds = holds
        }
    }

    package var kind: Kind
    /// The path in the guest with its leading slash, links of the guest resolved; the package's or the variable's name.
    package var name: String
    /// Those that hold first; in layer order.
    package var sources: [Source]
    /// What a person should know beside that.
    package var notes: [String]

    package init(kind: Kind, name: String, sources: [Source], notes: [String] = []) {
        self.kind = kind
        self.name = name
        self.sources = sources.filter(\.holds) + sources.filter { !$0.holds }
        self.notes = notes
    }
}

extension Layer.Mention {
    func source(layer: Layer, phase: Phase, says: String, holds: Bool = true) -> Explanation.Source {
        Explanation.Source(layer: layer.name, phase: phase, file: file, line: line, says: says, holds: holds)
    }
}
