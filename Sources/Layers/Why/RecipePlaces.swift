// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// Where a recipe sets what it sets.
package struct RecipePlaces: Sendable {
    private let file: String
    private let lines: LineIndex
    private let variant: String?

    /// - Parameters:
    ///   - project: a folder with a recipe, or a recipe.
    ///   - variant: of the recipe, that is looked into first.
    /// - Throws: `not-found`, `bad-recipe`.
    package init(project: String, variant: String?) throws {
        file = try Recipe.file(of: project)
        lines = LineIndex(try Recipe.text(of: file))
        self.variant = variant
    }

    /// Of a key such as `image.hostname`; nil when the recipe does not set it.
    func place(of key: [String]) -> (file: String, line: Int)? {
        let line = variant.flatMap { lines.exactLine(of: ["variant", $0] + key) } ?? lines.exactLine(of: key)
        return line.map { (file, $0) }
    }
}
