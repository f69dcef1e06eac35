// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc

/// Users by the names that people know. See getpwuid_r(3).
enum UserName {
    /// - Returns: the number as text for a user whom nobody knows.
    static func of(_ id: UInt32) -> String {
        var entry = unsafe passwd()
        var found: UnsafeMutablePointer<passwd>? = nil
        var buffer = [CChar](repeating: 0, count: 16 << 10)
        // SAFETY: the strings of the entry lie in the buffer, which outlives their use.
        return unsafe buffer.withUnsafeMutableBufferPointer { bytes in
            guard let start = bytes.baseAddress,
                unsafe getpwuid_r(id, &entry, start, bytes.count, &found) == 0, unsafe found != nil,
                let name = unsafe entry.pw_name
            else { return "\(id)" }
            return unsafe String(cString: name)
        }
    }
}
