// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

// liblzma, which unpacks xz, on several threads. Swift does not import its flags, which are macros of macros.
#include <lzma.h>

static const uint32_t flashlayer_lzma_concatenated = LZMA_CONCATENATED;
