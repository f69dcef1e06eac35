// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

extension Plan {
    /// What a phase does, in words, in the order in which it happens.
    func steps(of phase: Phase) -> [String] {
        let steps =
            switch phase {
            case .base: baseSteps
            case .packages: packageSteps
            case .configs: configSteps
            case .scripts: layers.flatMap { layer in layer.scripts.map { "run \($0.name) (\(layer.name))" } }
            case .finish: finishSteps
            }
        return steps.map(\.printable)
    }

    private var baseSteps: [String] {
        var steps: [String] = []
        switch base {
        case .bootstrap(let distribution, let suite, let mirror):
            steps.append("bootstrap \(distribution) \(suite)" + (mirror.map { " from \($0)" } ?? ""))
            let firmware = image.firmware.map { $0 == .bios ? "BIOS" : "UEFI" }.joined(separator: " and ")
            if !image.kernelArguments.isEmpty { steps.append(kernelArgumentsStep) }
            steps.append("make a disk of \(ByteSize.describe(image.bootstrapSize)) that boots by \(firmware)")
        case .image(let path, _):
            steps.append("start from \(path)")
            if let size = image.size { steps.append("make the disk \(ByteSize.describe(size)) large") }
        }
        return steps
    }

    private var kernelArgumentsStep: String {
        "add kernel arguments: \(image.kernelArguments.joined(separator: " "))"
    }

    /// The boot loader's menu takes a while to make: where we make it ourselves, it is made once, with the base.
    package var isBootstrap: Bool {
        if case .bootstrap = base { true } else { false }
    }

    private var packageSteps: [String] {
        let owners = merged.claims.reduce(into: [:]) { $0[$1.entry.path] = $1.layer }
        var steps = users.map(\.step)
        steps += earlyFiles.map { "lay down \($0.path) early (\(owners[$0.path, default: ""]))" }
        steps += installation(of: debianPackages, \.debianPackages, suffix: mayBeRedHat ? " if the guest uses deb" : "")
        if mayBeRedHat { steps += installation(of: redHatPackages, \.redHatPackages, suffix: " if the guest uses rpm") }
        let place = image.python == .venv ? " by pip in /opt/\(name)/venv" : " by pip"
        steps += installation(of: pythonPackages, \.pythonPackages, suffix: place)
        return steps
    }

    private func installation(of packages: [String], _ list: KeyPath<Layer, [String]>, suffix: String) -> [String] {
        guard !packages.isEmpty else { return [] }
        let names = layers.filter { !$0[keyPath: list].isEmpty }.map(\.name)
        let label = names.count == 1 ? "layer" : "layers"
        return ["install \(packages.joined(separator: ", "))\(suffix) (\(label): \(names.joined(separator: ", ")))"]
    }

    private var configSteps: [String] {
        var steps: [String] = []
        if let hostname = image.hostname { steps.append("set the host name to \(hostname)") }
        if let timezone = image.timezone { steps.append("set the time zone to \(timezone)") }
        if let locale = image.locale { steps.append("set the locale to \(locale)") }
        for claim in merged.claims where claim.entry.kind != .directory {
            steps.append("overlay \(claim.entry.path) (\(claim.layer))")
        }
        for variable in environment {
            let setters = layers.filter { layer in layer.environment.contains { $0.key == variable.key } }
            steps.append("set \(variable.key) in /etc/environment (\(setters.last?.name ?? ""))")
        }
        return steps
    }

    private var finishSteps: [String] {
        var steps: [String] = []
        if !isBootstrap, !image.kernelArguments.isEmpty { steps.append(kernelArgumentsStep) }
        if image.grow { steps.append("let the root file system grow to its disk at first boot") }
        steps.append("remove the build's identity: machine-id, SSH host keys, random seed, caches, logs")
        return steps
    }
}

extension ImageSettings {
    /// Of a disk that is bootstrapped, in bytes.
    package var bootstrapSize: UInt64 { size ?? 2 * ByteSize.gibibyte }
}
