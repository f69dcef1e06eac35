// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials

/// The time that a build gives to what it makes, so that the same build gives the same files whenever it is done; see
/// https://reproducible-builds.org/specs/source-date-epoch/.
package enum SourceDate {
    /// 2026-01-01T00:00:00Z. Fixed, and not taken from layers: when those were checked out is no part of them.
    package static let standard = 1_767_225_600

    /// Seconds since 1970: what SOURCE_DATE_EPOCH says, if it is a number.
    package static let seconds: Int = {
        let text = ProcessInfo.processInfo.environment["SOURCE_DATE_EPOCH"] ?? ""
        return Int(text).flatMap { (0...Int(UInt32.max)).contains($0) ? $0 : nil } ?? standard
    }()

    /// As ISO 8601 has it.
    package static var text: String { Date(timeIntervalSince1970: Double(seconds)).formatted(.iso8601) }
}
