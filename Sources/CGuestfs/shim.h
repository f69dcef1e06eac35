// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

// libguestfs. What Swift cannot import (variadics, UINT64_C masks) is given here as functions.
#include <guestfs.h>
