// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import FoundationEssentials
import Layers
import Resolution

/// An image file that was written from a checkpoint, and all that was found out about its content.
struct OutputRecord: Codable, Sendable {
    /// Absolute.
    let path: String
    let format: String
    /// Of the file as it was left; changes when anything is written to it.
    let identity: FileIdentity
    /// Bytes of raw content.
    let size: UInt64
    let rawSha256: Digest
    let imageDigest: ImageDigest
    let blockMap: String
}

/// The records of one checkpoint. They only save work: whatever is wrong with them, the image is written again.
struct OutputRecords: Sendable {
    private static let limit = 8

    private let checkpoint: Checkpoint?

    init(_ checkpoint: Checkpoint?) {
        self.checkpoint = checkpoint
    }

    private var all: [OutputRecord] {
        guard let checkpoint, let data = FileManager.default.contents(atPath: checkpoint.outputs) else { return [] }
        return (try? JSONDecoder().decode([OutputRecord].self, from: data)) ?? []
    }

    /// The record of an image that is where it was left, as it was left.
    func find(_ path: String, _ format: ImageOutput.Format) -> OutputRecord? {
        let absolute = Path.absolute(path)
        guard let identity = try? FileIdentity(of: path) else { return nil }
        return all.first { $0.path == absolute && $0.format == format.rawValue && $0.identity == identity }
    }

    func note(_ record: OutputRecord) {
        guard let checkpoint else { return }
        let others = all.filter { $0.path != record.path }.suffix(Self.limit - 1)
        guard let data = try? JSONEncoder().encode(others + [record]) else { return }
        try? HostFile.replace(checkpoint.outputs, with: String(decoding: data, as: UTF8.self))
    }
}
