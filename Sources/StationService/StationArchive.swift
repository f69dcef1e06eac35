// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Station

/// Who keeps what the policy wants to be remembered. Called by one task at a time.
package protocol StationArchive: Sendable {
    /// Keeps a note, durably, before it returns.
    ///
    /// - Parameters:
    ///   - figures: of a job that ended.
    ///   - time: seconds since 1970.
    /// - Throws: `no-space`, `io-error`; then nothing is begun of which there would be no record.
    func keep(_ note: StationNote, figures: JobFigures?, at time: Double) throws

    /// Of earlier days, as the station starts.
    var history: MemoryHistory { get }

    /// Slots whose last job never ended.
    var interrupted: Set<String> { get }
}

/// An archive that ends with the process.
package struct VolatileArchive: StationArchive {
    package let history = MemoryHistory()
    package let interrupted: Set<String> = []

    package init() {}

    package func keep(_ note: StationNote, figures: JobFigures?, at time: Double) {}
}
