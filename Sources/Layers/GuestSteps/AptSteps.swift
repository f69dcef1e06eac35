// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// Installs Debian packages that lie on a second drive, together with the lists that they were chosen by. The guest's own
/// apt does it, by name and in one transaction, so that what was asked for is marked as such, and the rest as automatic.
package enum AptSteps {
    /// `-name` is how a layer says that a package must not be there; apt writes it `name-`.
    package static func argument(_ package: String) -> String {
        package.hasPrefix("-") ? "\(package.dropFirst())-" : package
    }

    /// - Parameters:
    ///   - drive: the number of the drive that holds `archives` and `lists`.
    ///   - recommends: nil leaves it to the guest's own configuration.
    package static func install(_ packages: [String], fromDrive drive: Int, recommends: Bool?) -> [GuestStep] {
        var arguments = ["/usr/bin/apt-get", "install", "--yes", "--no-download", "-q"]
        arguments += options(recommends: recommends).flatMap { ["-o", $0] }
        arguments += ["--"] + packages.map(argument)
        return [
            .mountDrive(drive, at: GuestFolder.packages),
            .run(GuestCommand(shell: prepare, source: "packages", title: "preparing to install packages")),
            .run(
                GuestCommand(
                    source: "apt",
                    arguments: arguments,
                    environment: environment,
                    failure: .packagesFailed,
                    title: "installing packages: apt-get"
                )
            ),
            .run(GuestCommand(shell: restore, source: "packages", title: "tidying up after packages")),
        ]
    }

    private static func options(recommends: Bool?) -> [String] {
        let folder = GuestFolder.packages
        var options = [
            "Dir::State::lists=\(folder)/lists", "Dir::Cache::archives=\(folder)/archives",
            // The drive is read-only, and nobody else is here.
            "Debug::NoLocking=1", "APT::Sandbox::User=root", "Dir::Cache::pkgcache=", "Dir::Cache::srcpkgcache=",
            // A file that a layer laid down early is not asked about; see dpkg(1).
            "DPkg::Options::=--force-confdef", "DPkg::Options::=--force-confold",
            // The disk is thrown away if anything fails.
            "DPkg::Options::=--force-unsafe-io",
        ]
        if let recommends { options.append("APT::Install-Recommends=\(recommends)") }
        return options
    }

    private static var environment: [String: String] {
        GuestCommand.standardEnvironment.merging([
            "DEBIAN_FRONTEND": "noninteractive",
            "DEBCONF_NONINTERACTIVE_SEEN": "true",
            "APT_LISTCHANGES_FRONTEND": "none",
            "NEEDRESTART_MODE": "l",
        ]) { _, new in new }
    }

    /// No service is started, since this is no running system; a guest's own policy stays.
    /// The initramfs and the boot loader's menu are made once at the end, not once for each package that asks: where
    /// machines are emulated, each takes minutes.
    private static let prepare = """
        if [ ! -e /usr/sbin/policy-rc.d ]; then
            printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d
            chmod 755 /usr/sbin/policy-rc.d
            : > \(GuestFolder.scratch)/policy-is-ours
        fi
        for name in update-initramfs update-grub; do
            dpkg-divert --quiet --local --rename --divert /usr/sbin/$name.deferred --add /usr/sbin/$name
            printf '#!/bin/sh\\n: > \(GuestFolder.scratch)/stale-%s\\n' $name > /usr/sbin/$name
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
