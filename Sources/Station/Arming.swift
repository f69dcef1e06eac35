// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// What the operator allowed: which image, where, onto what, how often.
package struct Arming: Hashable, Sendable {
    /// As the records and the status name it.
    package let imageName: String
    package let imageDigest: String
    package let slots: Set<String>
    /// Bytes; nil: any.
    package let sizes: ClosedRange<UInt64>?
    /// Passes; nil: no end.
    package let count: Int?
    /// Seconds since 1970, for people: when it comes the caller says so by `expire`, as the policy has no clock.
    package let until: Int64?
    package let `operator`: String?
    package let batch: String?
    /// The highest number of a medium in sysfs when the operator armed. Whatever has this or a lower one was there
    /// before, whether its event has come already or not.
    package let highestSequence: UInt64

    package init(
        imageName: String,
        imageDigest: String,
        slots: Set<String>,
        sizes: ClosedRange<UInt64>? = nil,
        count: Int? = nil,
        until: Int64? = nil,
        operator: String? = nil,
        batch: String? = nil,
        highestSequence: UInt64
    ) {
        self.imageName = imageName
        self.imageDigest = imageDigest
        self.slots = slots
        self.sizes = sizes
        self.count = count
        self.until = until
        self.operator = `operator`
        self.batch = batch
        self.highestSequence = highestSequence
    }
}
