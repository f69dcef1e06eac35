// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// What a slot shows: one word that never changes, in JSON, in metrics and on the kiosk page.
///
/// Whether the slot is armed is another question, and is told apart.
package enum SlotState: String, Codable, Sendable, CaseIterable {
    case empty, present, probing, refused, writing, verifying, passed
    /// It carries this image already, as a re-read of samples confirmed; it was not written again.
    case alreadyDone = "already-done"
    case failed, quarantined
    /// The job's worker hangs, or its device does.
    case notResponding = "not-responding"

    /// The two that a person may pull and put into the box of good ones.
    package var isGreen: Bool { self == .passed || self == .alreadyDone }
}
