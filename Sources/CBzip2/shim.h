// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

// libbz2, which unpacks bzip2. Its header wants FILE declared first.
#include <stdio.h>
#include <bzlib.h>
