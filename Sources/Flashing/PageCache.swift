// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Glibc

/// What the kernel remembers of a device's content.
enum PageCache {
    /// Writes back and forgets it. BLKFLSBUF needs CAP_SYS_ADMIN; without it the advice to forget has to do, which is
    /// enough for a descriptor that reads with O_DIRECT.
    static func drop(_ descriptor: Int32) {
        if flashlayer_blkflsbuf(descriptor) != 0 { posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED) }
    }
}
