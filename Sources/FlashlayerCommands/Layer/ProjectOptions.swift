// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import Layers
import Model
import Resolution

/// Says what is to be built. A command adds its own way to name the project: PROJECT, or `--project`.
struct ProjectOptions: ParsableArguments, Sendable {
    @Option(
        help: ArgumentHelp(
            "Start from this disk image, without a recipe. With --layer alone, Debian is bootstrapped.",
            valueName: "image"
        )
    )
    var base: String?

    @Option(
        name: .customLong("layer"),
        parsing: .upToNextOption,
        help: ArgumentHelp("Apply these layer folders, in this order, without a recipe.", valueName: "folder")
    )
    var layers: [String] = []

    @Option(
        help: ArgumentHelp(
            "Look here, too, for layers that others depend on. May be given several times.",
            valueName: "folder"
        )
    )
    var layerPath: [String] = []

    @Option(help: ArgumentHelp("Build this variant of the recipe: its [variant.NAME] table.", valueName: "name"))
    var variant: String?

    @Option(
        name: .customLong("set"),
        help: ArgumentHelp(
            "Set a variable that scripts see. May be given several times.",
            valueName: "key=value"
        )
    )
    var arguments: [String] = []

    @Flag(help: "Fail where flashlayer.lock does not fit the recipe, instead of resolving what changed.")
    var locked = false

    @Flag(help: "Fetch nothing: what is not in the cache is an error. Scripts get no network.")
    var offline = false

    /// - Parameter path: what the user named; nil: the current folder, unless `--base` or `--layer` say what to build.
    func project(_ path: String?) throws -> Project {
        guard base != nil || !layers.isEmpty else { return .recipe(path: path ?? ".") }
        if let path {
            throw FlashlayerError(
                .usage,
                "the project \(path) has its own base and layers: --base and --layer do not go with it",
                advice: "leave out the project, or say it in its recipe"
            )
        }
        // `--layer` takes all that follows it, up to the next option.
        if let device = layers.first(where: { $0.hasPrefix("/dev/") }) {
            throw FlashlayerError(.usage, "\(device) is no layer", advice: "name targets before --layer")
        }
        return .folders(base: base, layers: layers)
    }

    /// Reads the project and all its layers; fetches those that lie elsewhere.
    ///
    /// - Parameter lockUse: nil: as the options say.
    func resolve(_ path: String?, cache: Cache, console: Console, lockUse: LockUse? = nil) async throws
        -> ResolvedProject
    {
        let request = ProjectRequest(
            try project(path),
            layerPath: layerPath,
            variant: variant,
            arguments: try BuildArgument.variables(arguments),
            lockUse: lockUse ?? (locked ? .require : .obey),
            isOffline: offline
        )
        let resolver = ProjectResolver(cache: cache) { text in
            if console.isTerminal { console.status(text) } else { console.detail(text) }
        }
        let resolved = try await resolver.resolve(request)
        console.clearStatus()
        for note in resolved.notes { console.say(note) }
        return resolved
    }
}
