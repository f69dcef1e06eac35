// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import Layers
import Model
import Resolution

/// Says what is to be built, and how it is resolved.
struct ProjectOptions: ParsableArguments, Sendable {
    @OptionGroup var place: ProjectPlace

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

    func project(_ path: String?) throws -> Project { try place.project(path) }

    /// Reads the project and all its layers; fetches those that lie elsewhere.
    ///
    /// - Parameters:
    ///   - lockUse: nil: as the options say.
    ///   - needsBase: false: the base image is not looked for.
    func resolve(
        _ path: String?,
        cache: Cache,
        console: Console,
        lockUse: LockUse? = nil,
        needsBase: Bool = true
    ) async throws -> ResolvedProject {
        let request = ProjectRequest(
            try project(path),
            layerPath: place.layerPath,
            variant: variant,
            arguments: try BuildArgument.variables(arguments),
            lockUse: lockUse ?? (locked ? .require : .obey),
            isOffline: offline,
            needsBase: needsBase
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
