// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

// libudev: which disks there are and what udev knows of them; works without a running udevd as well.
#include <libudev.h>
