// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// What the records know of earlier days. The policy asks; it never writes: what is to be remembered leaves it as
/// commands, which the caller carries out before it hands in the next event.
package protocol StationHistory {
    /// Whether the last job on this stick passed, with this image.
    func hasPassed(_ identity: MediumIdentity, imageDigest: String) -> Bool
    /// Failed jobs since the last that passed, or since the operator's release.
    func failures(of identity: MediumIdentity) -> Int
    /// Whether two sticks with it have been there at once, ever.
    func isDuplicate(_ identity: MediumIdentity) -> Bool
}

/// A history that ends with the process.
package struct MemoryHistory: StationHistory, Sendable {
    private var passed: [MediumIdentity: String] = [:]
    private var failed: [MediumIdentity: Int] = [:]
    private var duplicates: Set<MediumIdentity> = []

    package init() {}

    package func hasPassed(_ identity: MediumIdentity, imageDigest: String) -> Bool { passed[identity] == imageDigest }

    package func failures(of identity: MediumIdentity) -> Int { failed[identity, default: 0] }

    package func isDuplicate(_ identity: MediumIdentity) -> Bool { duplicates.contains(identity) }

    /// Takes what the policy wants to be remembered.
    package mutating func apply(_ note: StationNote) {
        switch note {
        case .ended(let job, let outcome):
            guard let identity = job.medium.identity else { return }
            switch outcome {
            case .passed:
                passed[identity] = job.imageDigest
                failed[identity] = nil
            case .failed:
                passed[identity] = nil
                failed[identity, default: 0] += 1
            case .cancelled: passed[identity] = nil
            case .alreadyDone: break
            }
        case .duplicate(let identity): duplicates.insert(identity)
        case .released(let identity): failed[identity] = nil
        case .began: break
        }
    }
}
