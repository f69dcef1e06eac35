// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import StationService

exit(await StationProgram.run())
