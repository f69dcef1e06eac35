// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// Where the daemon of the station is spoken to.
package enum StationSocket {
    /// In the folder that the service manager makes for it.
    package static let path = "/run/flashlayer-station/control"
}
