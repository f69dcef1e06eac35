// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import ImageBuilder
import Layers
import Model
import Resolution

/// `flashlayer why`
struct Why: Operation {
    static let configuration = CommandConfiguration(
        commandName: "why",
        abstract: "Say which layer put a file, a package or a variable into the image.",
        usage: "flashlayer why <path> | --package <name> | --env <key> [--project <folder>] [--json]",
        discussion: """
            Names the layer, the file and the line, the phase that does it, and who lost: layers that bring the same and \
            come earlier. Links of the guest count, so that /bin/x and /usr/bin/x are one file; a file of a layer on this \
            machine is taken for where it goes. What is not in the image because of a layer or of the recipe ends with \
            status 66; what scripts do is not known.

              flashlayer why /etc/motd --project examples/kiosk
              flashlayer why --package jq --project examples/kiosk
              flashlayer why --env SITE_NAME --project examples/kiosk --json

            Packages that no layer asks for are looked up in the description NAME.json of a build, in the current folder \
            or beside the recipe, or as --image names it.
            """
    )

    @Argument(help: "A path in the guest, such as /etc/motd.")
    var path: String?

    @Option(name: .customLong("package"), help: ArgumentHelp("Explain this package.", valueName: "name"))
    var package: String?

    @Option(name: .customLong("env"), help: ArgumentHelp("Explain this environment variable.", valueName: "key"))
    var variable: String?

    @Option(
        help: ArgumentHelp("A folder with a flashlayer.toml, or such a file. Default: here.", valueName: "folder"),
        completion: .file()
    )
    var project: String?

    @OptionGroup var options: ProjectOptions

    @Option(
        help: ArgumentHelp(
            "Look here, too, for packages: an image with its NAME.json, or that file.",
            valueName: "image"
        ),
        completion: .file()
    )
    var image: String?

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var common: CommonOptions

    func validate() throws {
        let subjects = [path, package, variable].compactMap { $0 }
        guard subjects.count == 1 else {
            throw ValidationError("name one thing to explain: a path, --package NAME or --env KEY")
        }
        guard subjects[0] != "" else { throw ValidationError("there is no name to explain") }
    }

    func perform(_ console: Console) async throws {
        if let path, path == "/dev" || path.hasPrefix("/dev/") {
            throw FlashlayerError(
                .usage,
                "\(path) is a device, and 'why' explains what is in an image",
                advice: "why a disk may be written or not says: flashlayer explain \(path)"
            )
        }
        let plan = try await options.resolve(project, cache: try Cache(), console: console).plan
        let explanation = try explain(plan)
        Console.answer(try json ? JSONText.of(explanation) : WhyText(explanation).text)
    }

    private func explain(_ plan: Plan) throws -> Explanation {
        if let package {
            let described = try described(plan)
            if var explanation = plan.explain(package: package) {
                if let note = described?.note(on: package) { explanation.notes.append(note) }
                return explanation
            }
            if let note = described?.note(on: package) {
                let guess = "no layer asks for it: it belongs to the base, or another package needs it"
                return Explanation(kind: .package, name: package, sources: [], notes: [guess, note])
            }
            let near = plan.packageNear(package) ?? described?.packageNear(package)
            throw unknown("no layer asks for a package '\(package.printable)'", near: near, otherwise: nil)
        }
        if let variable {
            if let explanation = plan.explain(variable: variable) { return explanation }
            throw unknown(
                "no layer sets a variable '\(variable.printable)'",
                near: plan.variableNear(variable),
                otherwise: nil
            )
        }
        let path = path ?? "/"
        if let explanation = plan.explain(path: path, recipe: try recipe(plan)) { return explanation }
        throw unknown(
            "no layer brings \(path.printable)",
            near: plan.pathNear(path),
            otherwise: "it may come from the base, from a package or from a script"
        )
    }

    private func recipe(_ plan: Plan) throws -> RecipePlaces? {
        guard case .recipe(let path) = try options.project(project) else { return nil }
        return try RecipePlaces(project: path, variant: plan.variant)
    }

    private func unknown(_ sentence: String, near: String?, otherwise: String?) -> FlashlayerError {
        FlashlayerError(.notFound, sentence, advice: near.map { "did you mean \($0.printable)?" } ?? otherwise)
    }

    /// The description that the user names; else one that a build has left where builds leave it.
    private func described(_ plan: Plan) throws -> DescribedImage? {
        if let image { return try DescribedImage(of: image) }
        var places = ["\(plan.name).json"]
        if let project { places.append("\(project)/\(plan.name).json") }
        return places.lazy.compactMap { try? DescribedImage(of: $0) }.first
    }
}

/// An explanation, for a person.
private struct WhyText {
    let text: String

    init(_ explanation: Explanation) {
        var lines: [String] = []
        let holding = explanation.sources.filter(\.holds)
        let verb = explanation.kind == .package ? "is asked for by" : "comes from"
        for source in holding {
            lines.append("\(explanation.name) \(verb) \(Self.who(source)) (phase \(source.phase.rawValue))")
            if source.says != explanation.name { lines.append("  \(source.says)") }
        }
        if holding.isEmpty { lines.append(explanation.name) }
        for source in explanation.sources where !source.holds {
            lines.append("  over \(Self.who(source)): \(source.says)")
        }
        lines += explanation.notes.map { "  \($0)" }
        text = lines.map(\.printable).joined(separator: "\n")
    }

    private static func who(_ source: Explanation.Source) -> String {
        let place = source.file.map { ShownPath.of($0) + (source.line.map { ":\($0)" } ?? "") }
        let who = source.layer.map { "layer \($0)" } ?? (source.file == nil ? "flashlayer itself" : "the recipe")
        return place.map { "\(who): \($0)" } ?? who
    }
}
