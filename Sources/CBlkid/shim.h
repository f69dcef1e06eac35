// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

// libblkid: what lies on a disk (file systems, RAID members, partition tables), read without mounting.
#include <blkid/blkid.h>
