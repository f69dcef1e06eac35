// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import Layers
import Model

/// Says where a project lies. A command adds its own way to name it: PROJECT, or `--project`.
struct ProjectPlace: ParsableArguments, Sendable {
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
}
