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
    /// The drive that holds Debian packages; nil when there are none to install.
    let packageDrive: Int?

    /// What the layers ask for, and what pip and the settings cannot do without.
    static func debianPackages(of plan: Plan, for guest: GuestFacts) -> [String] {
        guard guest.packageFormat == "deb" else { return [] }
        var packages = plan.debianPackages
        if !plan.pythonPackages.isEmpty { packages += PipSteps.debianPackages(for: plan.image.python) }
        packages += SettingsSteps.debianPackages(for: plan.image)
        var seen: Set<String> = []
        return packages.filter { seen.insert($0).inserted }
    }

    private var redHatPackages: [String] { guest.packageFormat == "rpm" ? plan.redHatPackages : [] }

    var needsNetwork: Bool {
        !plan.pythonPackages.isEmpty || !redHatPackages.isEmpty
            || plan.image.network && plan.layers.contains { !$0.scripts.isEmpty }
    }

    /// - Parameter packageList: where, on this machine, the list of installed packages goes.
    func stages(packageList: String) throws -> [ApplianceJob.Stage] {
        [
            .init(.packages, try packages),
            .init(.configs, configs),
            .init(
                .scripts,
                plan.layers.flatMap {
                    ScriptSteps.run(
                        $0,
                        environment: plan.environment,
                        arguments: plan.arguments,
                        network: plan.image.network
                    )
                }
            ),
            .init(.finish, finish(packageList: packageList)),
        ]
    }

    private var packages: [GuestStep] {
        get throws {
            var steps: [GuestStep] = [.mount(guest.mounts), FinishSteps.begin]
            if let earlyArchive { steps += OverlaySteps.unpack(plan.earlyFiles, hostArchive: earlyArchive) }
            if let packageDrive {
                let packages = Self.debianPackages(of: plan, for: guest)
                steps += AptSteps.install(packages, fromDrive: packageDrive, recommends: plan.recommends)
            }
            if !redHatPackages.isEmpty {
                guard ["dnf", "yum", "tdnf"].contains(guest.packageManager) else {
                    throw FlashlayerError(
                        .unavailable,
                        "packages of \(guest.product) are installed by \(guest.packageManager), which this version does not use",
                        advice: "install them in a script of a layer"
                    )
                }
                steps += DnfSteps.install(
                    redHatPackages,
                    manager: guest.packageManager,
                    recommends: plan.recommends
                )
            }
            if !plan.pythonPackages.isEmpty {
                steps += PipSteps.install(
                    plan.pythonPackages,
                    python: plan.image.python,
                    name: plan.name,
                    hostCertificates: Self.hostCertificates
                )
            }
            return steps
        }
    }

    private static var hostCertificates: String? {
        let path = "/etc/ssl/certs/ca-certificates.crt"
        return FileManager.default.fileExists(atPath: path) ? path : nil
    }

    private var configs: [GuestStep] {
        var steps: [GuestStep] = []
        if let overlayArchive { steps += OverlaySteps.unpack(plan.mergedOverlay, hostArchive: overlayArchive) }
        return steps + SettingsSteps.apply(plan.image, environment: plan.environment)
    }

    private func finish(packageList: String) -> [GuestStep] {
        var steps = FinishSteps.boot(kernelArguments: plan.isBootstrap ? [] : plan.image.kernelArguments)
        if plan.image.grow { steps.append(.growAtFirstBoot) }
        steps += FinishSteps.removeIdentity(kept: plan.mergedOverlay)
        steps.append(.download(FinishSteps.packageList, hostPath: packageList))
        steps += OverlaySteps.resolverFile(plan.mergedOverlay)
        return steps + [.trim(guest.mounts.map(\.path)), .unmount]
    }
}
