// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import ImageBuilder
package import Layers
import Model
import Threads

/// A plan as a template for Packer: the bundle for machines that run, its clean-up among it, carried and called by Packer.
package struct PackerExport: Sendable {
    private let plan: Plan

    package init(_ plan: Plan) {
        self.plan = plan
    }

    /// On the machine, and only while it is built; only root gets there.
    private static let place = "/var/lib/flashlayer-packer"

    /// - Parameters:
    ///   - path: a folder that is not there, or is empty.
    ///   - replaces: an earlier export may be there.
    /// - Throws: `bad-layer` when a layer was changed since it was read, `cannot-create`, `no-space`, `not-permitted`.
    package func write(to path: String, replaces: Bool) async throws -> ExportReport {
        let draft = try ExportDraft(at: path, replaces: replaces)
        let parts = try await addPayload(to: draft)
        var scripts = ["provision/00-unpack.sh"]
        try draft.add(Self.unpack, at: scripts[0], mode: 0o755)
        for (index, part) in parts.enumerated() {
            let script = "provision/\(index < 9 ? "0" : "")\(index + 1)-\(part.name).sh"
            try draft.add(Self.script(part), at: script, mode: 0o755)
            scripts.append(script)
        }
        let name = ExportDraft.plain(plan.outputName)
        let template = PackerTemplate(name: name, scripts: scripts)
        try draft.add(template.text, at: "\(name).pkr.hcl")
        try draft.add(PackerTemplate.plugins, at: "plugins.pkr.hcl")
        try draft.add(PackerPage(plan, template: "\(name).pkr.hcl").text, at: "README.md")
        try draft.addSums()
        try Task.checkCancellation()
        try draft.commit()
        return ExportReport(draft, plan, parts)
    }

    private func addPayload(to draft: ExportDraft) async throws -> [ExportReport.Part] {
        let bundle = try ExportDraft(at: "\(draft.folder)/payload", replaces: false)
        let parts = try await ScriptBundle.fill(bundle, with: plan, cleaningUp: true)
        try bundle.addSums()
        let files = bundle.files.sorted { $0.path.utf8.lexicographicallyPrecedes($1.path.utf8) }
        let folder = bundle.folder
        let archive = "\(draft.folder)/\(PackerTemplate.payload)"
        try await onOwnThread(named: "payload") {
            let members = files.map { (path: "\(folder)/\($0.path)", name: $0.path, size: $0.size) }
            try FileArchive.write(members, to: archive)
        }
        withExtendedLifetime(bundle) {}
        try draft.adopt(PackerTemplate.payload, mode: 0o600)
        return parts
    }

    private static let unpack = """
        #!/bin/sh
        # Packer runs this on the machine: brings the payload where only root gets to it.
        set -eu
        rm -rf \(place)
        mkdir -p \(place)
        chmod 700 \(place)
        tar -xf flashlayer-payload.tar -C \(place) --no-same-owner
        rm -f flashlayer-payload.tar

        """

    private static func script(_ part: ExportReport.Part) -> String {
        let isLast = part.name == "clean-up"
        let lines = [
            "#!/bin/sh", "# Packer runs this on the machine. What it does:",
            part.steps.map { "# - \($0)" }.joined(separator: "\n"), "set -eu",
            "sh \(place)/install.sh --part \(part.name) --log \(place)/log",
        ]
        // Nothing of this is to be found in the image.
        return (lines + (isLast ? ["rm -rf \(place) /var/lib/flashlayer-script"] : []) + [""]).joined(separator: "\n")
    }
}
