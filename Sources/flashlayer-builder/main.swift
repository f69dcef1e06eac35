// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Appliance
import Glibc

exit(BuilderWorker.run())
