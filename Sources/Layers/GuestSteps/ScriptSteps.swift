// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// Runs the layers' scripts.
package enum ScriptSteps {
    /// Where scripts find secrets, a file for each name. Memory, and gone before anything of the disk is kept.
    private static let secretsFolder = "\(GuestFolder.scratch)/secrets"

    /// Puts secrets where scripts find them.
    package static func lay(_ secrets: [BuildSecret]) -> [GuestStep] {
        guard !secrets.isEmpty else { return [] }
        return [.makeFolder(secretsFolder)]
            + secrets.map { .upload(hostPath: $0.path, to: "\(secretsFolder)/\($0.name)", mode: 0o400) }
    }

    /// A script is a file that is executed, never text for a shell: its first line says what it is written in. It lies in
    /// memory, so that nothing of it stays.
    ///
    /// - Parameter arguments: of the command line; they win over the environment.
    package static func run(
        _ layer: Layer,
        environment: [Layer.Variable],
        arguments: [Layer.Variable] = [],
        network: Bool
    ) -> [GuestStep] {
        guard !layer.scripts.isEmpty else { return [] }
        let folder = "\(GuestFolder.scratch)/scripts"
        var variables = GuestCommand.standardEnvironment
        for variable in environment { variables[variable.key] = variable.unquoted }
        for variable in arguments { variables[variable.key] = variable.value }
        variables["FLASHLAYER_LAYER"] = layer.name
        variables["FLASHLAYER_PHASE"] = Phase.scripts.rawValue
        variables["FLASHLAYER_SECRETS"] = secretsFolder
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
