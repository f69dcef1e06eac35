// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Layers
import Model

/// What the appliance is to do after the base phase: the plan, for the guest that was found.
struct BuildStages: Sendable {
    let plan: Plan
    let guest: GuestFacts
    /// Archives on this machine; nil when there is nothing to lay down.
    let earlyArchive: String?
    let overlayArchive: String?
    /// The Debian packages that were chosen, on a drive; nil when there are none to install.
    let packages: (drive: Int, chosen: [AptSteps.Version])?
    /// What the guest's own package managers are asked for, the drive that keeps what they download, and the folder on this
    /// machine where what they choose goes; nil when they are not asked.
    let guestPackages: (drive: Int, selection: GuestSelection, folder: String)?
    /// false: there is no way out, whatever the plan says.
    let hasNetwork: Bool
    /// Where, on this machine, the list of installed packages goes.
    let packageList: String

    /// What the layers ask for, and what pip and the settings cannot do without.
    static func debianPackages(of plan: Plan, for guest: GuestFacts) -> [String] {
        guest.packageFormat == "deb" ? plan.debianPackagesOfGuest : []
    }

    /// Whether a part of the build is to reach the network from inside the guest.
    func needsNetwork(_ phase: Phase) -> Bool {
        switch phase {
        case .packages: hasNetwork && guestPackages != nil
        case .scripts: hasNetwork && plan.image.network
        case .base, .configs, .finish: false
        }
    }

    /// What a part of the build does to the mounted guest.
    ///
    /// - Parameter layer: whose scripts are meant, in that phase.
    func steps(_ phase: Phase, layer: String?) throws -> [GuestStep] {
        switch phase {
        case .base: []
        case .packages: try packageSteps
        case .configs: configs
        case .scripts: scripts(of: layer)
        case .finish: finish
        }
    }

    private func scripts(of name: String?) -> [GuestStep] {
        guard let layer = plan.layers.first(where: { $0.name == name }) else { return [] }
        return ScriptSteps.run(
            layer,
            environment: plan.environment,
            arguments: plan.arguments,
            network: hasNetwork && plan.image.network
        )
    }

    private var packageSteps: [GuestStep] {
        get throws {
            var steps = UserSteps.create(plan.users)
            if let earlyArchive { steps += OverlaySteps.unpack(plan.earlyFiles, hostArchive: earlyArchive) }
            if let packages {
                steps += AptSteps.install(
                    Self.debianPackages(of: plan, for: guest),
                    chosen: packages.chosen,
                    fromDrive: packages.drive,
                    recommends: plan.recommends
                )
            }
            if let (drive, selection, folder) = guestPackages {
                steps.append(.mountDrive(drive, at: GuestFolder.downloads, writable: true))
                steps += try selection.install(plan, for: guest)
                steps += selection.steps(bringingTo: folder)
                steps += [.trim([GuestFolder.downloads]), .unmountDrive(at: GuestFolder.downloads)]
            }
            return steps + UserSteps.join(plan.users)
        }
    }

    private var configs: [GuestStep] {
        var steps: [GuestStep] = []
        if let overlayArchive { steps += OverlaySteps.unpack(plan.mergedOverlay, hostArchive: overlayArchive) }
        return steps + SettingsSteps.apply(plan.image, environment: plan.environment)
    }

    private var finish: [GuestStep] {
        var steps = FinishSteps.boot(kernelArguments: plan.isBootstrap ? [] : plan.image.kernelArguments)
        if plan.image.grow { steps.append(.growAtFirstBoot) }
        steps += FinishSteps.removeIdentity(kept: plan.mergedOverlay)
        steps.append(.download(FinishSteps.packageList, hostPath: packageList))
        steps += FinishSteps.settleTimes(on: guest.mounts)
        steps += OverlaySteps.resolverFile(plan.mergedOverlay)
        steps.append(.relabel)
        // libguestfs, too, changes the folder around commands.
        steps.append(.setTime("/etc", seconds: SourceDate.seconds))
        return steps + [.trim(guest.mounts.map(\.path))]
    }
}
