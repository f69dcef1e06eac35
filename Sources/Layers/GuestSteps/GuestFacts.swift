// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// What was found out about the operating system on a disk. It decides what is fetched and how; the host never does.
package struct GuestFacts: Codable, Sendable, Equatable {
    package struct Mount: Codable, Sendable, Equatable {
        /// As the appliance names it: `/dev/sda3`, `/dev/vg/root`, `btrfsvol:/dev/sda2/@`.
        package var device: String
        package var path: String
        package var options: String

        package init(device: String, path: String, options: String = "") {
            self.device = device
            self.path = path
            self.options = options
        }
    }

    /// In libguestfs's words: `debian`, `ubuntu`, `fedora`.
    package var distribution: String
    /// "12.11", as far as the guest says.
    package var version: String
    /// "Debian GNU/Linux 12 (bookworm)".
    package var product: String
    /// As libguestfs names it: `x86_64`.
    package var architecture: String
    /// `deb`, `rpm` or another.
    package var packageFormat: String
    /// `apt`, `dnf`, `yum` or another.
    package var packageManager: String
    /// In the order in which they are mounted: `/` first.
    package var mounts: [Mount]

    package init(
        distribution: String,
        version: String,
        product: String,
        architecture: String,
        packageFormat: String,
        packageManager: String,
        mounts: [Mount]
    ) {
        self.distribution = distribution
        self.version = version
        self.product = product
        self.architecture = architecture
        self.packageFormat = packageFormat
        self.packageManager = packageManager
        self.mounts = mounts
    }
}
