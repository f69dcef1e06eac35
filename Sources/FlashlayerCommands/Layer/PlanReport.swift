// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import ImageBuilder
import Layers
import Model

/// What `flashlayer plan` prints. The names of the properties are those of `plan --json`.
struct PlanReport: Encodable {
    struct LayerLine: Encodable {
        let name: String
        let path: String
        let source: String
        let digest: Digest
        let dependencies: [String]
    }

    struct PhaseLine: Encodable {
        let name: Phase
        let key: Digest
        let cached: Bool
        let reason: String
        let steps: [String]
    }

    /// A file or link that is laid over the guest, and who brings it.
    struct FileLine: Encodable {
        let path: Pathname
        let layer: String
        let source: Pathname
    }

    /// What a list of a layer asks for.
    struct MentionLine: Encodable {
        let kind: Layer.Mention.Part
        let name: String
        let layer: String
        let file: String
        let line: Int
    }

    let name: String
    let version: String
    let digest: Digest
    let base: Base
    let layers: [LayerLine]
    let phases: [PhaseLine]
    let overrides: [Override]
    let early: [Pathname]
    let files: [FileLine]
    let mentions: [MentionLine]
    let outputs: [String]

    /// - Parameter states: of the plan's phases, in order.
    init(_ plan: Plan, _ states: [PhaseState]) throws {
        name = plan.name
        version = plan.version
        digest = try plan.digest()
        base = plan.base
        layers = plan.layers.map {
            LayerLine(
                name: $0.name,
                path: $0.path,
                source: $0.source,
                digest: $0.digest,
                dependencies: $0.dependencies
            )
        }
        phases = states.map { state in
            PhaseLine(
                name: state.phase.phase,
                key: state.phase.key,
                cached: state.isCached,
                reason: state.reason,
                steps: state.phase.steps
            )
        }
        overrides = plan.overrides
        early = plan.earlyFiles.map(\.path)
        files = plan.fileOrigins.map { FileLine(path: $0.path, layer: $0.layer, source: $0.source) }
        mentions = plan.layers.flatMap { layer in
            layer.mentions.map {
                MentionLine(kind: $0.part, name: $0.text, layer: layer.name, file: $0.file, line: $0.line)
            }
        }
        outputs = plan.outputs
    }

    func json() throws -> String { try JSONText.of(self) }

    /// - Parameter style: gives a heading its looks, or leaves it alone.
    func text(_ style: (String, Console.Style) -> String) -> String {
        var lines = [style("\(name) \(version)", .bold) + "  plan \(digest.short)", ""]
        if layers.isEmpty {
            lines.append("No layers.")
        } else {
            lines.append(style("Layers", .bold) + ", in the order in which they are applied")
            lines += TextTable(
                layers.enumerated().map { index, layer in
                    let needs = layer.dependencies.isEmpty ? "" : "needs \(layer.dependencies.joined(separator: ", "))"
                    return ["\(index + 1)", layer.name, layer.digest.short, ShownPath.of(layer.path), needs]
                }
            ).lines.map { "  \($0.printable)" }
        }
        for phase in phases {
            let state = phase.cached ? style("cached", .green) : style("to do", .yellow)
            lines += ["", "\(style(phase.name.rawValue, .bold))  \(state): \(phase.reason)"]
            lines += phase.steps.isEmpty ? ["  nothing"] : phase.steps.map { "  - \($0)" }
        }
        if !overrides.isEmpty {
            lines += ["", style("Overrides", .bold) + ", where several layers bring the same path"]
            lines += overrides.map {
                "  \($0.path): \($0.winner) over \($0.losers.joined(separator: ", "))".printable
            }
        }
        lines += ["", style("Outputs", .bold)]
        lines.append("  " + outputs.joined(separator: "  "))
        return lines.joined(separator: "\n")
    }
}

extension Digest {
    /// Enough to tell two apart by eye.
    fileprivate var short: String { String(hex.prefix(12)) }
}
