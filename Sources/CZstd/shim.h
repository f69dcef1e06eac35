// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

// libzstd, which unpacks zstd; errors have numbers in a header of their own.
#include <zstd.h>
#include <zstd_errors.h>
