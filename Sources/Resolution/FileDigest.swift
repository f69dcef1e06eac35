// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import FoundationEssentials
import Layers
import Model
import Threads

/// SHA-256 of large files of this machine, remembered as long as the file stays what it is: a base image is not read
/// again for each plan.
package struct FileDigest: Sendable {
    private struct Record: Codable {
        let identity: FileIdentity
        let sha256: String
    }

    private let cache: Cache

    package init(cache: Cache) {
        self.cache = cache
    }

    /// - Parameter isPassing: the file will not stay where it is: nothing is remembered.
    /// - Throws: `not-found` when it cannot be read.
    package func sha256(of path: String, isPassing: Bool = false) async throws -> String {
        let record = "\(cache.path)/digests/\(try SHA256.digest(of: path).hex)"
        let identity = try FileIdentity(of: path)
        if let data = FileManager.default.contents(atPath: record),
            let known = try? JSONDecoder().decode(Record.self, from: data), known.identity == identity
        {
            return known.sha256
        }
        let digest = try await onOwnThread(named: "digest-file") { try SHA256.digest(ofFile: path) }.hex
        // A file that was written to meanwhile is not remembered; nor is anything where the cache cannot be written.
        if !isPassing, try FileIdentity(of: path) == identity,
            let data = try? JSONEncoder().encode(
                Record(identity: identity, sha256: digest)
            )
        {
            try? Cache.makeFolder("\(cache.path)/digests")
            try? HostFile.write(data, to: record)
        }
        return digest
    }
}
