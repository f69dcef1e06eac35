// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Layers
import Model
import Programs
import Resolution

/// What the package managers of guests of one kind downloaded, as a file system that such a guest mounts: rpm packages with
/// the lists that they were chosen by, wheels, pip's own cache.
///
/// A build works on a copy, which takes the place of the original when it is known to be sound. So no build sees another's
/// unfinished work; of two that end at once, one's downloads are kept.
struct DownloadDrive: Sendable {
    /// What a file system may grow to; the file takes what is in it.
    private static let size = 16 * ByteSize.gibibyte

    let path: String
    private let kept: String

    static func take(for guest: GuestFacts, cache: Cache, work: WorkFolder) async throws -> DownloadDrive {
        let folder = "\(cache.path)/downloads"
        try Cache.makeFolder(folder)
        let kind = "\(guest.distribution)-\(guest.version)-\(guest.architecture)"
        let name = String(kind.map { $0 == "/" || $0.isWhitespace ? "_" : $0 })
        let drive = DownloadDrive(path: work.file("downloads.img"), kept: "\(folder)/\(name).img")
        try await drive.copy()
        return drive
    }

    private func copy() async throws {
        if FileManager.default.fileExists(atPath: kept) {
            try await Program("cp", debianPackage: "coreutils").run([
                "--sparse=always", "--reflink=auto", "--", kept, path,
            ])
            if await isSound() { return }
        }
        unsafe unlink(path)
        // Without a journal: it is a copy, and thrown away if it is not unmounted in order.
        try await Program("mke2fs", debianPackage: "e2fsprogs").run([
            "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-N", "65536",
            "-E", "lazy_itable_init=1,root_owner=0:0", path, "\(Self.size / ByteSize.mebibyte)M",
        ])
    }

    /// Puts the copy into the cache, whatever became of the build: what was downloaded is there. One that the guest did not
    /// unmount is left out.
    func keep() async {
        guard await isSound() else { return }
        guard (try? HostFile.flush(path)) != nil else { return }
        unsafe rename(path, kept)
    }

    private func isSound() async -> Bool {
        // Read-only, and asking nothing; see e2fsck(8).
        let outcome = try? await Program("e2fsck", debianPackage: "e2fsprogs").outcome(["-fn", path])
        return outcome?.status == 0
    }
}
