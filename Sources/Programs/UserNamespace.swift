// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc

/// Where an ordinary user is root: over their own files, which are root's there, and over those of the IDs that
/// /etc/subuid and /etc/subgid give them. See user_namespaces(7).
package enum UserNamespace {
    /// Whether this process needs one to make files of several users.
    package static var isNeeded: Bool { geteuid() != 0 }

    /// For unshare(1), which asks newuidmap(1) for the IDs.
    package static let arguments = ["--user", "--map-auto", "--map-root-user"]

    /// What runs a program as root of such a namespace, and simply runs it where this process is root already.
    ///
    /// - Throws: `unavailable`.
    package static func asRoot(_ program: Program, _ arguments: [String]) throws -> (Program, [String]) {
        guard isNeeded else { return (program, arguments) }
        let unshare = try Program("unshare", debianPackage: "util-linux")
        return (unshare, Self.arguments + ["--", program.path] + arguments)
    }
}
