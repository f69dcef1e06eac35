// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// For scripts that run in a mount namespace of their own.
package enum PrivateMounts {
    /// Lets go of the loop devices that other tests had mounted when the namespace was made: they would count as mounted
    /// for as long as it lives. Names of folders stand in octal where they have spaces.
    package static let forgetOthers = #"""
        awk '$1 ~ "^/dev/loop" { print $2 }' /proc/self/mounts | tac | while IFS= read -r place; do
            umount --lazy "$(printf '%b' "$(printf '%s' "$place" | sed 's/\\\([0-7]\)/\\0\1/g')")" 2> /dev/null || true
        done

        """#
}
