// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

extension String {
    /// One word for a POSIX shell, whatever is in it.
    package var shellQuoted: String {
        "'" + split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }
}
