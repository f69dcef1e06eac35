// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc

package enum MountPoint {
    /// Takes away all that is mounted at these folders, in this order, also what lies on each other there, and what
    /// somebody still looks at: a test that ends leaves no mount. See MNT_DETACH in umount(2).
    package static func clear(_ folders: String...) {
        for folder in folders {
            while unsafe umount2(folder, Int32(MNT_DETACH)) == 0 {}
        }
    }
}
