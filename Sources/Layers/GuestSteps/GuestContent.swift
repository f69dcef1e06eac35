// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// What is in a guest, as the appliance reads it: nothing of the guest's own programs is trusted or needed.
package struct GuestContent: Codable, Sendable, Equatable {
    package struct Package: Codable, Sendable, Equatable {
        package var name: String
        package var version: String
        package var architecture: String

        package init(name: String, version: String, architecture: String) {
            self.name = name
            self.version = version
            self.architecture = architecture
        }
    }

    package struct Entry: Codable, Sendable, Equatable {
        /// As find(1) names them: `f`, `d`, `l`, `c`, `b`, `p`, `s`.
        package var type: String
        /// Permission bits, with set-user-ID, set-group-ID and sticky.
        package var mode: UInt16
        package var user: UInt32
        package var group: UInt32
        /// Bytes of a regular file; else 0.
        package var size: UInt64
        /// SHA-256 of a regular file, in hexadecimal; where a link points; the numbers of a device.
        package var content: String?
        /// Extended attributes: names, with their values in hexadecimal.
        package var attributes: [String: String]?

        package init(
            type: String,
            mode: UInt16,
            user: UInt32,
            group: UInt32,
            size: UInt64 = 0,
            content: String? = nil,
            attributes: [String: String]? = nil
        ) {
            self.type = type
            self.mode = mode
            self.user = user
            self.group = group
            self.size = size
            self.content = content
            self.attributes = attributes
        }
    }

    package var product: String
    package var packages: [Package]
    /// The text of /etc/environment; nil when there is none.
    package var environment: String?
    /// By path, as `Pathname` writes it, without a leading slash; of all file systems that fstab names.
    package var entries: [String: Entry]

    package init(product: String, packages: [Package], environment: String?, entries: [String: Entry]) {
        self.product = product
        self.packages = packages
        self.environment = environment
        self.entries = entries
    }
}
