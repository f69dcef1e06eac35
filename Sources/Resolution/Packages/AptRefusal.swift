// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Model

/// What apt says when it does not install what it is asked for.
package struct AptRefusal: Sendable {
    private let lines: [String]
    private let unmet: [String]
    /// Names that somebody asks for.
    private let asked: Set<String>

    /// - Parameter packages: as lists have them.
    package init(output: String, errors: String, _ packages: [String] = []) {
        lines = errors.split(separator: "\n").filter { $0.hasPrefix("E: ") }.map { String($0.dropFirst(3)) }
        // Below this title one line for each dependency, indented.
        let title = "The following packages have unmet dependencies:"
        let said = output.split(separator: "\n").drop { $0 != title }.dropFirst()
        unmet = said.prefix { $0.hasPrefix(" ") }.map { String($0.dropFirst()) }
        asked = Set(
            packages.map { String(($0.hasPrefix("-") ? $0.dropFirst() : $0[...]).prefix { !"=/:".contains($0) }) }
        )
    }

    package func error(askedFor: (String) -> String) -> FlashlayerError {
        let unknown = lines.compactMap { line in
            let start = "Unable to locate package "
            return line.hasPrefix(start) ? String(line.dropFirst(start.count)) : nil
        }
        guard unknown.isEmpty else {
            let names = unknown.map { "'\($0)' (\(askedFor($0)))" }
            return FlashlayerError(
                .packagesFailed,
                "the guest's package sources have no package named \(names.joined(separator: ", "))",
                advice:
                    "look for its right name: https://packages.debian.org, or bring its source in a layer: configs/etc/apt"
            )
        }
        let reasons = (unmet + lines).map { line in
            let askers = names(in: line).map { "\($0): \(askedFor($0))" }
            return askers.isEmpty ? line : "\(line) (\(askers.joined(separator: "; ")))"
        }
        let text = (reasons.isEmpty ? ["apt does not say why"] : reasons).joined(separator: "\n  ")
        return FlashlayerError(.packagesFailed, "the packages cannot be installed:\n  \(text)")
    }

    /// Packages that somebody asks for and that a line is about, in its order.
    private func names(in line: String) -> [String] {
        var names: [String] = []
        for word in line.split(whereSeparator: { !($0.isASCII && ($0.isLetter || $0.isNumber || "+-.".contains($0))) })
        {
            let name = String(word)
            if asked.contains(name), !names.contains(name) { names.append(name) }
        }
        return names
    }
}
