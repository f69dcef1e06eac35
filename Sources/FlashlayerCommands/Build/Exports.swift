// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ImageBuilder
import ImageExport
import Layers
import Model

/// What a build of everything makes: the `outputs` of the recipe that are not the image itself.
struct Exports {
    private let plan: Plan
    /// Of the layers, with their folders.
    private let folders: [(export: LayerExport, path: String)]
    private let forms: [(form: ExportForm, path: String)]
    private let hardware: VirtualHardware

    /// - Throws: `usage` when the recipe names no outputs; `cannot-create` for a folder that holds something else: better
    ///   now than after the build.
    init(_ plan: Plan, beside image: ImageOutput) throws {
        guard !plan.exports.isEmpty || !plan.layerExports.isEmpty else {
            throw FlashlayerError(
                .usage,
                "--all makes what 'outputs' in the recipe names, and it names nothing",
                advice: "say it in the recipe: outputs = [\"vdi\", \"vmdk\"]; \(ExportForm.possible)"
            )
        }
        forms = plan.exports.map { ($0, image.export($0.format)) }.filter { form, path in
            form.format.rawValue != image.format.rawValue
        }
        if let same = forms.first(where: { $0.path == image.path }) {
            throw FlashlayerError(
                .usage,
                "\(same.path) would be both the image, as \(image.format.rawValue), and the output \(same.form)",
                advice: "name another file for the image: -o FILE"
            )
        }
        hardware = plan.imageHardware
        if plan.exports.contains(where: { $0.format == .ova }) { try hardware.confirm(as: .badRecipe) }
        self.plan = plan
        folders = plan.layerExports.map { ($0, image.folder($0)) }
        for folder in folders { try ExportDraft.confirm(Path.absolute(folder.path), replaces: true) }
    }

    /// Files that are made of the image.
    var paths: [String] { forms.map(\.path) }

    /// Of the layers.
    var folderPaths: [String] { folders.map(\.path) }

    var all: [String] { paths + folderPaths }

    /// What is there already is replaced.
    func make(of result: BuildResult, _ console: Console) async throws {
        // First, because they take a moment.
        for (export, path) in folders {
            let report =
                switch export {
                case .packer: try await PackerExport(plan).write(to: path, replaces: true)
                case .script: try await ScriptBundle(plan).write(to: path, replaces: true)
                }
            console.say("\(ShownPath.of(path).printable)  \(report.summary)")
        }
        guard !forms.isEmpty else { return }
        let runs = forms.map { form, path in
            ExportRun(
                result.image,
                to: path,
                as: form,
                replaces: true,
                hardware: hardware,
                imageDigest: result.imageDigest
            )
        }
        let width = forms.map(\.form.format.rawValue.count).max() ?? 0
        let titles = forms.map { "\($0.form.format.rawValue.padding(to: width)) " }
        let reporter = ExportReporter(console, titles: titles)
        defer { console.clearStatus() }
        try await ExportBatch(runs).run {
            reporter.show($0, $1, $2, $3)
        } onEnd: {
            reporter.finish($0, $1)
        }
    }
}
