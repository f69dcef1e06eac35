// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import FoundationEssentials
import Glibc
import Layers
import Model
import Programs

/// A file that a URL names, fetched by curl(1): proxies, TLS, retries and ranges are its own.
struct RemoteFile: Sendable {
    let url: String
    /// Who asks: `flashlayer.toml:5`.
    let place: String
    let cache: Cache
    let isOffline: Bool

    private var folder: String { "\(cache.path)/images" }

    /// Where a file of this digest is, or would be.
    private func path(_ sha256: String) -> String { "\(folder)/\(sha256)" }

    /// - Parameter sha256: that the file must have; nil: whatever is there.
    /// - Returns: the file in the cache, and its digest.
    /// - Throws: `unavailable`, `digest-mismatch`.
    func fetch(sha256: String?, onActivity: @escaping @Sendable (String) -> Void) async throws
        -> (path: String, sha256: String)
    {
        let sha256 = sha256?.lowercased()
        if let sha256, FileManager.default.fileExists(atPath: path(sha256)) {
            EntryUse.touch(path(sha256))
            return (path(sha256), sha256)
        }
        guard !isOffline else {
            throw FlashlayerError(
                .unavailable,
                "\(place): the base image \(url.printable) is not in the cache, and --offline keeps it from being fetched",
                advice: "build once without --offline"
            )
        }
        try Cache.makeFolder(folder)
        let part = "\(folder)/\(try SHA256.digest(of: url).hex).part"
        let lock = try await KeyLock.hold("\(part).lock") {
            onActivity("another flashlayer fetches \(url): waiting for it")
        }
        defer { withExtendedLifetime(lock) {} }
        if let sha256, FileManager.default.fileExists(atPath: path(sha256)) { return (path(sha256), sha256) }
        try await download(to: part, onActivity)
        let found = try await FileDigest(cache: cache).sha256(of: part, isPassing: true)
        guard sha256 == nil || found == sha256 else {
            unsafe unlink(part)
            throw FlashlayerError(
                .digestMismatch,
                "\(place): the base image \(url.printable) has the SHA-256 \(found), not \(sha256 ?? "")",
                advice: "when its publisher replaced it, put that digest into the recipe, or run flashlayer update"
            )
        }
        guard unsafe rename(part, path(found)) == 0 else {
            throw FlashlayerError.system("keep \(url.printable) in \(folder)", .current, code: .cannotCreate)
        }
        return (path(found), found)
    }

    private func download(to part: String, _ onActivity: @escaping @Sendable (String) -> Void) async throws {
        let curl = try Program("curl", debianPackage: "curl")
        onActivity("fetching \(url)")
        let watch = Task {
            while true {
                try await Task.sleep(for: .seconds(1))
                var status = stat()
                guard unsafe stat(part, &status) == 0 else { continue }
                onActivity("fetching \(url): \(ByteSize.describe(UInt64(status.st_size)))")
            }
        }
        defer { watch.cancel() }
        // Goes on where an interrupted one stopped; a server that cannot is asked for all of it.
        var outcome = try await curl.outcome(arguments(part) + ["--continue-at", "-"])
        if [33, 36].contains(outcome.status) || outcome.status == 22 && FileManager.default.fileExists(atPath: part) {
            unsafe unlink(part)
            outcome = try await curl.outcome(arguments(part))
        }
        guard outcome.status == 0 else {
            let said = outcome.errors.split(separator: "\n").last.map { ": \($0)" } ?? ""
            throw FlashlayerError(
                .unavailable,
                "\(place): the base image \(url.printable) cannot be fetched\(said)",
                advice: "see whether 'curl -fLO \(url.shellQuoted)' works here; what has arrived is kept"
            )
        }
    }

    private func arguments(_ part: String) -> [String] {
        [
            "--fail", "--location", "--silent", "--show-error", "--retry", "3", "--proto", "=http,https",
            "--output", part, "--url", url,
        ]
    }
}
