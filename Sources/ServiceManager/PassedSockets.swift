// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc

/// The sockets that the service manager has opened for a service. See sd_listen_fds(3).
package struct PassedSockets: Sendable, Equatable {
    /// Of a socket without a name: the manager calls it so.
    package static let unnamed = "unknown"
    /// The first one; the others follow.
    private static let first: Int32 = 3

    /// Descriptors by `FileDescriptorName=`, in the order of the unit.
    package let descriptors: [String: [Int32]]

    /// Takes them over: programs that are started from here on do not get them.
    ///
    /// - Parameter environment: that of the process, as the manager set it.
    package init(environment: [String: String], processID: Int32 = getpid()) {
        // They may have been meant for whoever started us.
        guard environment["LISTEN_PID"].flatMap(Int32.init) == processID,
            let count = environment["LISTEN_FDS"].flatMap(Int32.init), count > 0, count < 1024
        else {
            descriptors = [:]
            return
        }
        let names = (environment["LISTEN_FDNAMES"] ?? "").split(separator: ":", omittingEmptySubsequences: false)
        var found: [String: [Int32]] = [:]
        for index in 0..<count {
            let descriptor = Self.first + index
            guard fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0 else { continue }
            let name = Int(index) < names.count ? String(names[Int(index)]) : Self.unnamed
            found[name.isEmpty ? Self.unnamed : name, default: []].append(descriptor)
        }
        descriptors = found
    }
}
