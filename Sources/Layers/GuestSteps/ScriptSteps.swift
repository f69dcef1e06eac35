// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// Runs the layers' scripts.
package enum ScriptSteps {
    /// A script is a file that is executed, never text for a shell: its first line says what it is written in. It lies in
    /// memory, so that nothing of it stays.
    package static func run(_ layer: Layer, environment: [Layer.Variable], network: Bool) -> [GuestStep] {
        guard !layer.scripts.isEmpty else { return [] }
        let folder = "\(GuestFolder.scratch)/scripts"
        var variables = GuestCommand.standardEnvironment
        for variable in environment { variables[variable.key] = variable.value }
        variables["FLASHLAYER_LAYER"] = layer.name
        variables["FLASHLAYER_PHASE"] = Phase.scripts.rawValue
        return [.makeFolder(folder)]
            + layer.scripts.flatMap { script -> [GuestStep] in
                var command = GuestCommand(
                    source: "\(layer.name)/\(script.name)",
                    arguments: ["\(folder)/\(script.name)"],
                    environment: variables,
                    failure: .scriptFailed,
                    title: "script \(script.name) of layer \(layer.name)"
                )
                command.network = network
                return [.upload(hostPath: script.path, to: "\(folder)/\(script.name)", mode: 0o755), .run(command)]
            }
    }
}
