// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// Installs Debian packages from a second drive, which is a package source of its own and holds exactly what was chosen.
/// The guest's own apt does it, by name and in one transaction, so that what was asked for is marked as such, and the rest
/// as automatic.
package enum AptSteps {
    /// What was chosen for a name.
    package struct Version: Sendable, Equatable {
        package let name: String
        package let version: String
        package let architecture: String

        package init(name: String, version: String, architecture: String) {
            self.name = name
            self.version = version
            self.architecture = architecture
        }
    }

    /// `-name` is how a layer says that a package must not be there; apt writes it `name-`.
    package static func argument(_ package: String) -> String {
        package.hasPrefix("-") ? "\(package.dropFirst())-" : package
    }

    /// What is said to apt once it is settled which version an entry stands for. An entry that nothing was chosen for is
    /// installed already.
    static func argument(_ package: String, chosen: [Version]) -> String {
        guard !package.hasPrefix("-") else { return argument(package) }
        let name = package.prefix { $0 != "=" && $0 != "/" }
        let plain = name.prefix { $0 != ":" }
        let architecture = name.dropFirst(plain.count + 1)
        let match = chosen.first { version in
            version.name == plain && (architecture.isEmpty || version.architecture == architecture)
        }
        return match.map { "\(name)=\($0.version)" } ?? String(name)
    }

    /// - Parameters:
    ///   - drive: the number of the drive that is the package source.
    ///   - recommends: nil leaves it to the guest's own configuration.
    package static func install(
        _ packages: [String],
        chosen: [Version],
        fromDrive drive: Int,
        recommends: Bool?
    ) -> [GuestStep] {
        let options = options(recommends: recommends).flatMap { ["-o", $0] }
        let update = (["exec", "/usr/bin/apt-get", "update", "-q"] + options).map(\.shellQuoted).joined(separator: " ")
        let install = ["/usr/bin/apt-get", "install", "--yes", "-q", "--allow-downgrades"] + options + ["--"]
        return [
            .mountDrive(drive, at: GuestFolder.packages),
            .write("\(GuestFolder.scratch)/sources.list", contents: source, mode: 0o644),
            .run(GuestCommand(shell: prepare, source: "packages", title: "preparing to install packages")),
            .run(GuestCommand(shell: update, source: "apt", environment: environment, title: "reading the packages")),
            .run(
                GuestCommand(
                    source: "apt",
                    arguments: install + packages.map { argument($0, chosen: chosen) },
                    environment: environment,
                    failure: .packagesFailed,
                    title: "installing packages: apt-get"
                )
            ),
            .run(GuestCommand(shell: restore, source: "packages", title: "tidying up after packages")),
        ]
    }

    /// On a machine that runs: from its own package sources, at the versions that they have. Services start, and boot
    /// files are made, as its administrator has it.
    package static func installFromSources(_ packages: [String], recommends: Bool?) -> [GuestStep] {
        guard !packages.isEmpty else { return [] }
        let options = (patience + questions + weak(recommends)).flatMap { ["-o", $0] }
        let update = (["/usr/bin/apt-get", "update", "-q"] + patience.flatMap { ["-o", $0] }).map(\.shellQuoted)
        // What an interrupted installation left half done would stop the next one. It does not wait for others who install;
        // apt-get does, and says what is wrong.
        let prepare = "dpkg --configure --pending || :\n" + update.joined(separator: " ")
        let install = ["/usr/bin/apt-get", "install", "--yes", "-q", "--allow-downgrades"] + options + ["--"]
        return [
            .run(
                GuestCommand(
                    shell: prepare,
                    source: "apt",
                    environment: environment,
                    failure: .packagesFailed,
                    title: "reading the package sources"
                )
            ),
            .run(
                GuestCommand(
                    source: "apt",
                    arguments: install + packages.map { argument($0) },
                    environment: environment,
                    failure: .packagesFailed,
                    title: "installing packages: apt-get"
                )
            ),
        ]
    }

    /// Seconds: a machine that has just started may be at its own updates.
    private static let patience = ["DPkg::Lock::Timeout=300"]

    /// A file that a layer laid down early is not asked about; see dpkg(1).
    private static let questions = ["DPkg::Options::=--force-confdef", "DPkg::Options::=--force-confold"]

    private static func weak(_ recommends: Bool?) -> [String] {
        recommends.map { ["APT::Install-Recommends=\($0)"] } ?? []
    }

    /// Every file was checked by its digest before it came here; see sources.list(5).
    private static let source = "deb [trusted=yes] file:\(GuestFolder.packages) ./\n"

    private static func options(recommends: Bool?) -> [String] {
        let options = [
            "Dir::Etc::sourcelist=\(GuestFolder.scratch)/sources.list", "Dir::Etc::sourceparts=/dev/null",
            // What is preferred to what was decided when the packages were chosen.
            "Dir::Etc::preferences=/dev/null", "Dir::Etc::preferencesparts=/dev/null",
            "Dir::State::lists=\(GuestFolder.scratch)/lists", "Dir::Cache::pkgcache=", "Dir::Cache::srcpkgcache=",
            "APT::Sandbox::User=root",
        ]
        // The disk is thrown away if anything fails.
        return options + questions + ["DPkg::Options::=--force-unsafe-io"] + weak(recommends)
    }

    private static var environment: [String: String] {
        GuestCommand.standardEnvironment.merging([
            "DEBIAN_FRONTEND": "noninteractive",
            "DEBCONF_NONINTERACTIVE_SEEN": "true",
            "APT_LISTCHANGES_FRONTEND": "none",
            "NEEDRESTART_MODE": "l",
            "PYTHONHASHSEED": "0",
        ]) { _, new in new }
    }

    /// No service is started, since this is no running system; a guest's own policy stays.
    /// The initramfs and the boot loader's menu are made once at the end, not once for each package that asks: where
    /// machines are emulated, each takes minutes.
    private static let prepare = """
        mkdir -p \(GuestFolder.notes) \(GuestFolder.scratch)/lists/partial
        if [ ! -e /usr/sbin/policy-rc.d ]; then
            printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d
            chmod 755 /usr/sbin/policy-rc.d
            : > \(GuestFolder.scratch)/policy-is-ours
        fi
        for name in update-initramfs update-grub; do
            dpkg-divert --quiet --local --rename --divert /usr/sbin/$name.deferred --add /usr/sbin/$name
            printf '#!/bin/sh\\n: > \(GuestFolder.notes)/stale-%s\\n' $name > /usr/sbin/$name
            chmod 755 /usr/sbin/$name
        done
        """

    private static let restore = """
        for name in update-initramfs update-grub; do
            rm -f /usr/sbin/$name
            dpkg-divert --quiet --local --rename --divert /usr/sbin/$name.deferred --remove /usr/sbin/$name
        done
        if [ -e \(GuestFolder.scratch)/policy-is-ours ]; then rm -f /usr/sbin/policy-rc.d; fi
        umount \(GuestFolder.packages)
        """
}
