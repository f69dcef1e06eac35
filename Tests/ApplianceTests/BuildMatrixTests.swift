// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import Testing

/// Builds upon other guests and layouts, from caches in other states, by other users. Beside `BuildTests`, so that both
/// processors have work; what it holds is in a file for each subject.
@Suite("Builds under other conditions", .serialized, .enabled(if: getuid() == 0, "bootstrapping needs root"))
struct BuildMatrixTests {}

/// Builds that do not begin with the shared one: they run while that one is made.
@Suite("Builds that begin anew", .serialized, .enabled(if: getuid() == 0, "bootstrapping needs root"))
struct FreshBuildTests {}
