// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// Files of the guest that are made of settings: of the recipe, of layers' environments, or of flashlayer's own.
struct SettingPlaces {
    struct Setting {
        let source: Explanation.Source
        /// Nothing of what layers bring there is left.
        let replaces: Bool
    }

    let plan: Plan
    let recipe: RecipePlaces?

    /// - Parameter path: without a leading slash.
    func sources(of path: String) -> [Setting] {
        switch path {
        case "etc/environment": environment
        case "etc/hostname": of("hostname", plan.image.hostname, .configs, replaces: true)
        case "etc/hosts": of("hostname", plan.image.hostname, .configs)
        case "etc/localtime", "etc/timezone": of("timezone", plan.image.timezone, .configs, replaces: true)
        case "etc/default/locale", "etc/locale.conf", "etc/locale.gen": of("locale", plan.image.locale, .configs)
        case String(BootLoaderSteps.argumentsFile.dropFirst()), "boot/grub/grub.cfg": kernelArguments
        case "etc/repart.d/50-root.conf", "etc/fstab", "etc/systemd/system/grow-root.service",
            "etc/systemd/system/grow-root.sh":
            grow
        case "etc/passwd", "etc/shadow", "etc/group", "etc/gshadow": users { _ in true }
        case "etc/machine-id":
            [own("emptied, so that each copy of the image makes its own at first boot", replaces: true)]
        case "etc/systemd/system/ssh-host-keys.service",
            "etc/systemd/system/multi-user.target.wants/ssh-host-keys.service":
            [own("makes SSH host keys at first boot, where sshd is installed")]
        default:
            path == virtualEnvironment || path.hasPrefix(virtualEnvironment + "/")
                ? python : users { path == "\($0.homeFolder)/.ssh/authorized_keys" && !$0.authorizedKeys.isEmpty }
        }
    }

    private func users(_ isMeant: (User) -> Bool) -> [Setting] {
        plan.users.enumerated().filter { isMeant($0.element) }.map { index, user in
            // Those of a variant stand among the recipe's own.
            let place = plan.variant == nil ? recipe?.place(of: ["user", LineIndex.element(index)]) : nil
            let source = Explanation.Source(phase: .packages, file: place?.file, line: place?.line, says: user.step)
            return Setting(source: source, replaces: false)
        }
    }

    private func of<Value>(_ key: String, _ value: Value?, _ phase: Phase, replaces: Bool = false) -> [Setting] {
        guard let value else { return [] }
        let shown = (value as? [String])?.joined(separator: " ") ?? "\(value)"
        let place = recipe?.place(of: ["image", key])
        let source = Explanation.Source(phase: phase, file: place?.file, line: place?.line, says: "\(key) = \(shown)")
        return [Setting(source: source, replaces: replaces)]
    }

    private func own(_ says: String, replaces: Bool = false) -> Setting {
        Setting(source: Explanation.Source(phase: .finish, says: says), replaces: replaces)
    }

    private var kernelArguments: [Setting] {
        guard !plan.image.kernelArguments.isEmpty else { return [] }
        return of("kernel-arguments", plan.image.kernelArguments, plan.isBootstrap ? .base : .finish)
    }

    private var grow: [Setting] {
        plan.image.grow ? of("grow", true, .finish) : []
    }

    private var environment: [Setting] {
        plan.environment.flatMap { variable in
            plan.explain(variable: variable.key)?.sources.map { Setting(source: $0, replaces: false) } ?? []
        }
    }

    private var virtualEnvironment: String { "opt/\(plan.name)/venv" }

    private var python: [Setting] {
        guard plan.image.python == .venv else { return [] }
        return plan.mentions(.pythonPackage).map { layer, mention in
            Setting(source: mention.source(layer: layer, phase: .packages, says: mention.text), replaces: false)
        }
    }
}
