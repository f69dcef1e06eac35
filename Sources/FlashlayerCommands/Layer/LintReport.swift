// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Layers
import Model

/// What `flashlayer lint` prints. The names of the properties are those of `lint --json`.
struct LintReport: Encodable {
    let errors: Int
    let warnings: Int
    let faults: [Fault]
    let layers: [Findings.Reading]

    init(_ lint: Lint) {
        faults = lint.faults
        layers = lint.layers
        errors = faults.count { $0.severity == .error }
        warnings = faults.count - errors
    }

    /// What the command ends with; nil when all is well.
    func failure(strict: Bool) -> FlashlayerError? {
        let counting = faults.filter { strict || $0.severity == .error }
        guard let first = counting.first(where: Self.isOfRecipe) ?? counting.first else { return nil }
        guard !Self.isOfRecipe(first) else { return FlashlayerError(.badRecipe, summary) }
        let isOfCommandLine = first.code == .notFound || first.code == .usage
        return FlashlayerError(isOfCommandLine || first.code.exitStatus == 65 ? first.code : .badLayer, summary)
    }

    /// A base image that is not there is the recipe's fault, if a recipe names it.
    private static func isOfRecipe(_ fault: Fault) -> Bool {
        fault.code == .badRecipe || fault.code == .notFound && fault.file != nil
    }

    private var summary: String {
        let parts = [(errors, "error"), (warnings, "warning")].filter { $0.0 > 0 }
        return parts.map { "\($0.0) \($0.1)\($0.0 == 1 ? "" : "s")" }.joined(separator: ", ")
    }

    func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        do {
            return String(decoding: try encoder.encode(self), as: UTF8.self)
        } catch {
            throw FlashlayerError(.fault, "cannot print what was found: \(error)")
        }
    }

    /// Each fault as compilers write theirs, so that editors find the place.
    ///
    /// - Parameter style: gives a word its looks, or leaves it alone.
    func text(_ style: (String, Console.Style) -> String) -> String {
        var lines: [String] = []
        for fault in faults {
            let word = style("\(fault.severity.rawValue):", fault.severity == .error ? .red : .yellow)
            let place = fault.file.map { file in
                "\(ShownPath.of(file).printable):" + (fault.line.map { "\($0):" } ?? "") + " "
            }
            lines.append("\(place ?? "")\(word) \(fault.message)")
            if let hint = fault.hint { lines.append("  \(hint)") }
        }
        if !faults.isEmpty, !layers.isEmpty { lines.append("") }
        for layer in layers {
            lines.append("\(style(layer.name.printable, .bold)): read \(layer.read.joined(separator: ", "))")
        }
        if faults.isEmpty { lines.append("nothing is wrong") }
        return lines.joined(separator: "\n")
    }
}
