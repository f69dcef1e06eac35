// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import ImageBuilder
package import Layers
import Model

/// What was exported, for a program to read.
package struct ExportReport: Codable, Sendable, Equatable {
    package struct Part: Codable, Sendable, Equatable {
        package let name: String
        /// Of all that leads to what the part leaves on a machine.
        package let digest: String
        /// For a person.
        package let steps: [String]
    }

    package let folder: String
    package let name: String
    package let version: String
    package let parts: [Part]
    /// In the order of their paths.
    package let files: [ExportedFile]
}

/// A plan as a folder with a shell script that brings a machine to what the layers ask for.
package struct ScriptBundle: Sendable {
    private let plan: Plan

    package init(_ plan: Plan) {
        self.plan = plan
    }

    /// - Parameters:
    ///   - path: a folder that is not there, or is empty.
    ///   - replaces: an earlier export may be there.
    /// - Throws: `bad-layer` when a layer was changed since it was read, `cannot-create`, `no-space`, `not-permitted`.
    package func write(to path: String, replaces: Bool) async throws -> ExportReport {
        let draft = try ExportDraft(at: path, replaces: replaces)
        let parts = try await Self.fill(draft, with: plan, cleaningUp: false)
        try draft.add(BundlePage(plan).text, at: "README.md")
        try draft.addSums()
        try Task.checkCancellation()
        try draft.commit()
        return ExportReport(draft, plan, parts)
    }

    /// Everything but the page and the list.
    static func fill(_ draft: ExportDraft, with plan: Plan, cleaningUp: Bool) async throws -> [ExportReport.Part] {
        var archives = BundleArchives()
        archives.early = try await archive(plan.earlyFiles, "early.tar", in: draft)
        archives.overlay = try await archive(plan.layingOrder, "overlay.tar", in: draft)
        let source = BundleParts(plan: plan, archives: archives)
        let digests = plan.layers.flatMap(\.scripts).map { ($0.path, $0.digest) }
        var parts: [ExportReport.Part] = []
        var previous = ""
        for part in try source.all(cleaningUp: cleaningUp) {
            try Task.checkCancellation()
            var writer = StepText(draft, scripts: Dictionary(digests) { first, _ in first })
            let text = try writer.text(of: part)
            try draft.add(text, at: "steps/\(part.name).sh")
            let used = writer.used.map { "\(draft.sha256(of: $0) ?? "")  \($0)\n" }
            let digest = try SHA256.digest(of: ([previous, text] + used).joined(separator: "\n")).hex
            parts.append(.init(name: part.name, digest: digest, steps: part.notes))
            previous = digest
        }
        let script = InstallScript(
            parts: parts.map { ($0.name, $0.digest) },
            name: plan.outputName,
            version: plan.version,
            managers: source.managers,
            needsManager: !plan.debianPackagesOfGuest.isEmpty || !plan.redHatRequests.isEmpty,
            isolates: !plan.image.network && plan.layers.contains { !$0.scripts.isEmpty }
        )
        try draft.add(script.text, at: "install.sh", mode: 0o755)
        return parts
    }

    private static func archive(_ entries: [OverlayEntry], _ name: String, in draft: ExportDraft) async throws
        -> String?
    {
        guard !entries.isEmpty else { return nil }
        let place = "\(draft.folder)/\(name)"
        try await OverlayArchive.write(entries, to: place)
        // As the files of layers are: what is in it may be meant for few eyes.
        try draft.adopt(name, mode: 0o600)
        return place
    }
}

extension ExportReport {
    init(_ draft: ExportDraft, _ plan: Plan, _ parts: [Part]) {
        self.init(
            folder: draft.destination,
            name: plan.outputName,
            version: plan.version,
            parts: parts,
            files: draft.files.sorted { $0.path.utf8.lexicographicallyPrecedes($1.path.utf8) }
        )
    }
}
