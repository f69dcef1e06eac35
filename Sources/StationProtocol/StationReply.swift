// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Model

/// One line of the daemon's answer: what was asked for, or why not.
package struct StationReply: Codable, Sendable, Equatable {
    /// After everything that is not about records.
    package var status: StationStatus?
    /// JSON of one record, as `records --jsonl` prints it; a line of the answer for each.
    package var record: String?
    package var error: FlashlayerError?

    package init(status: StationStatus) {
        self.status = status
    }

    package init(record: String) {
        self.record = record
    }

    package init(error: FlashlayerError) {
        self.error = error
    }
}
