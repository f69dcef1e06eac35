// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// Installs Red Hat packages with the guest's own package manager, over the network.
package enum DnfSteps {
    /// - Parameter manager: `dnf`, `yum` or `tdnf`, as the guest has it.
    package static func install(_ packages: [String], manager: String, recommends: Bool?) -> [GuestStep] {
        let wanted = packages.filter { !$0.hasPrefix("-") }
        let unwanted = packages.filter { $0.hasPrefix("-") }.map { String($0.dropFirst()) }
        var steps: [GuestStep] = []
        if !wanted.isEmpty {
            var arguments = ["/usr/bin/\(manager)", "-y"]
            if let recommends { arguments.append("--setopt=install_weak_deps=\(recommends ? "True" : "False")") }
            // A name that is not found is no failure for dnf as long as another one is.
            arguments += ["--setopt=skip_missing_names_on_install=False", "install"] + wanted
            steps.append(run(arguments, manager))
        }
        if !unwanted.isEmpty { steps.append(run(["/usr/bin/\(manager)", "-y", "remove"] + unwanted, manager)) }
        return steps
    }

    private static func run(_ arguments: [String], _ manager: String) -> GuestStep {
        .run(
            GuestCommand(
                source: manager,
                arguments: arguments,
                failure: .packagesFailed,
                title: "installing packages: \(manager)"
            )
        )
    }
}
