// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Glibc
import Model

/// The extended attributes that mean the same on every machine; see xattr(7).
enum ExtendedAttributes {
    static let accessList = "system.posix_acl_access"
    static let defaultList = "system.posix_acl_default"
    static let capability = "security.capability"

    /// What a person, setcap(8) or setfacl(1) gave to a file. Labels of SELinux and the like are of this machine's
    /// policy, not of the guest's.
    private static func counts(_ name: String) -> Bool {
        name.hasPrefix("user.") || [accessList, defaultList, capability].contains(name)
    }

    /// Of the file itself, should it be a link; in the order of their names.
    static func read(_ path: Pathname) throws -> [OverlayEntry.Attribute] {
        // Most files have none, and many file systems know none.
        let list = unsafe try bytes(path) { unsafe llistxattr($0, $1?.assumingMemoryBound(to: CChar.self), $2) } ?? []
        let names = try list.split(separator: 0).map { name in
            guard let name = String(validating: name, as: UTF8.self) else {
                throw FlashlayerError(.badLayer, "\(path) has an extended attribute whose name is not UTF-8")
            }
            return name
        }
        return try names.filter(counts).sorted { $0.precedesInBytes($1) }.compactMap { name in
            unsafe try bytes(path) { unsafe lgetxattr($0, name, $1, $2) }.map { .init(name: name, value: $0) }
        }
    }

    /// Asks for the size first, and again if it grew meanwhile.
    private static func bytes(
        _ path: Pathname,
        _ call: (UnsafePointer<CChar>, UnsafeMutableRawPointer?, Int) -> Int
    ) throws -> [UInt8]? {
        while true {
            // SAFETY: a count of 0 asks for the size alone; see listxattr(2), getxattr(2).
            let size = unsafe path.withCString { unsafe call($0, nil, 0) }
            if size == 0 { return [] }
            if size < 0, [ENOTSUP, ENODATA].contains(errno) { return nil }
            guard size > 0 else { throw failure(path) }
            var buffer = [UInt8](repeating: 0, count: size)
            // SAFETY: the calls write at most the count they are given.
            let count = unsafe buffer.withUnsafeMutableBytes { bytes in
                unsafe path.withCString { unsafe call($0, bytes.baseAddress, bytes.count) }
            }
            if count >= 0 { return Array(buffer.prefix(count)) }
            guard errno == ERANGE else { throw failure(path) }
        }
    }

    private static func failure(_ path: Pathname) -> FlashlayerError {
        .system("read the extended attributes of \(path)", .current, code: .badLayer)
    }
}
