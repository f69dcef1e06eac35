// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Layers
import Model

/// What a bundle does in one go and remembers as done: a phase, or the scripts of one layer.
struct BundlePart {
    struct Block {
        /// The package manager that it is for; nil: any.
        var manager: String?
        var steps: [GuestStep]
    }

    /// A word for command lines and file names.
    var name: String
    /// For a person, in the order in which things happen.
    var notes: [String]
    var blocks: [Block]
    /// Whether programs get to know the proxies of the machine: what fetches packages does, a layer's script is given the
    /// environment of its layers and no more.
    var knowsProxies = false

    var isEmpty: Bool { blocks.allSatisfy(\.steps.isEmpty) }
}

/// What the parts need of this machine.
struct BundleArchives {
    /// tar archives; nil when there is nothing to lay down.
    var early: String?
    var overlay: String?
}

/// A plan as parts for a machine that runs. The steps are those that a build takes inside its guest; left out is what makes
/// a disk, and what only a guest that does not run needs.
struct BundleParts {
    let plan: Plan
    let archives: BundleArchives

    static let apt = "apt"

    /// The package managers that the bundle knows how to ask.
    var managers: [String] { plan.isBootstrap ? [Self.apt] : [Self.apt] + RpmSteps.managers }

    /// In the order in which they run.
    func all(cleaningUp: Bool) throws -> [BundlePart] {
        let planned = try plan.phases()
        func notes(_ phase: Phase) -> [String] { planned.first { $0.phase == phase }?.steps ?? [] }
        var parts = [packages(notes(.packages)), configs(notes(.configs))]
        for (index, layer) in plan.layers.filter({ !$0.scripts.isEmpty }).enumerated() {
            let number = index < 9 ? "0\(index + 1)" : "\(index + 1)"
            parts.append(scripts(layer, name: "scripts-\(number)-\(ExportDraft.plain(layer.name))"))
        }
        parts.append(finish)
        if cleaningUp { parts.append(cleanUp) }
        return parts.filter { !$0.isEmpty }
    }

    private func packages(_ notes: [String]) -> BundlePart {
        var blocks = [BundlePart.Block(steps: UserSteps.create(plan.users) + unpack(archives.early, plan.earlyFiles))]
        for manager in managers {
            let steps =
                manager == Self.apt
                ? AptSteps.installFromSources(plan.debianPackagesOfGuest, recommends: plan.recommends)
                : RpmSteps.install(
                    plan.redHatRequests,
                    needed: plan.redHatPackagesOfPip,
                    manager: manager,
                    recommends: plan.recommends
                )
            blocks.append(.init(manager: manager, steps: steps))
        }
        if !plan.pythonPackages.isEmpty {
            let steps = PipSteps.install(
                plan.pythonPackages,
                python: plan.image.python,
                name: plan.name,
                hostCertificates: nil
            )
            blocks.append(.init(steps: steps))
        }
        blocks.append(.init(steps: UserSteps.join(plan.users)))
        return BundlePart(name: "packages", notes: notes, blocks: blocks, knowsProxies: true)
    }

    private func configs(_ notes: [String]) -> BundlePart {
        let steps =
            unpack(archives.overlay, plan.mergedOverlay)
            + (archives.overlay == nil ? [] : RelabelSteps.files(plan.mergedOverlay))
            + SettingsSteps.apply(plan.image, environment: plan.environment)
        return BundlePart(name: "configs", notes: notes, blocks: [.init(steps: steps)])
    }

    private func unpack(_ archive: String?, _ entries: [OverlayEntry]) -> [GuestStep] {
        archive.map { OverlaySteps.replace(entries, hostArchive: $0) } ?? []
    }

    private func scripts(_ layer: Layer, name: String) -> BundlePart {
        let steps = ScriptSteps.run(
            layer,
            environment: plan.environment,
            arguments: plan.arguments,
            network: plan.image.network
        )
        let notes = layer.scripts.map { "run \($0.name) (\(layer.name))".printable }
        return BundlePart(name: name, notes: notes, blocks: [.init(steps: steps)])
    }

    private var finish: BundlePart {
        let arguments = plan.image.kernelArguments
        var notes = ["make the initramfs and the boot loader's menu again, where what they are made of was changed"]
        if !arguments.isEmpty {
            notes.insert("add kernel arguments: \(arguments.joined(separator: " "))".printable, at: 0)
        }
        let steps = FinishSteps.boot(kernelArguments: arguments, isRunning: true)
        return BundlePart(name: "finish", notes: notes, blocks: [.init(steps: steps)])
    }

    /// For a machine that becomes an image: never for one that stays what it is.
    private var cleanUp: BundlePart {
        BundlePart(
            name: "clean-up",
            notes: ["remove the machine's identity: machine-id, SSH host keys, random seed, caches, logs"],
            blocks: [.init(steps: FinishSteps.removeIdentity(kept: plan.mergedOverlay, isRunning: true) + [.relabel])]
        )
    }
}
