// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import DiskImages
import FoundationEssentials

/// Several exports of one image, some at a time: the image is read from the medium once, by the first that comes to a
/// place, and the others find it in memory. On two processors this takes three quarters of the time.
package struct ExportBatch: Sendable {
    package let runs: [ExportRun]

    package init(_ runs: [ExportRun]) {
        self.runs = runs
    }

    /// More than there are processors get into each other's way.
    private static var limit: Int { max(1, min(4, ProcessInfo.processInfo.activeProcessorCount)) }

    /// The first failure ends all that have not come to their end; what is in place by then stays.
    ///
    /// - Parameter onProgress: is given the place of the export in the list as well.
    /// - Returns: the results, in order.
    /// - Throws: see `ExportRun.run`.
    package func run(
        onProgress: @escaping @Sendable (Int, ExportRun.Step, UInt64, UInt64) -> Void,
        onEnd: @escaping @Sendable (Int, ExportResult) -> Void
    ) async throws {
        try await confirmSpace()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, run) in runs.enumerated() {
                if index >= Self.limit { try await group.next() }
                group.addTask {
                    onEnd(index, try await run.run { onProgress(index, $0, $1, $2) })
                }
            }
            try await group.waitForAll()
        }
    }

    /// Each looks at the room for itself; those that run at the same time share it.
    private func confirmSpace() async throws {
        guard runs.count > 1, let first = runs.first else { return }
        let source = try await ImageFormat.openLocal(first.image)
        let folders = Dictionary(grouping: runs) { StagingFolder.parent(of: $0.output) }
        for (folder, runs) in folders {
            try SpaceNeed.confirm(
                runs.map { SpaceNeed($0.form, extents: source.extents, size: source.size) },
                in: folder
            )
        }
    }
}
