// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import PartitionTables
import Programs
import TestSupport

/// A sparse file with a partition table, made and judged by the tools of other people.
struct TableFile {
    let path: String
    let size: UInt64

    /// - Parameters:
    ///   - size: bytes.
    ///   - script: for sfdisk(8), which takes sectors of 512 bytes in a file.
    init(_ path: String, size: UInt64, _ script: String) async throws {
        self.path = path
        self.size = size
        try await Self.shell(
            #"truncate --size="$2" "$1" && printf "$3" | sfdisk --quiet --lock=no --no-tell-kernel "$1""#,
            path,
            "\(size)",
            script
        )
    }

    private init(path: String, size: UInt64) {
        self.path = path
        self.size = size
    }

    /// Its first bytes, on a disk of another size.
    func copied(to path: String, size: UInt64) async throws -> TableFile {
        try await Self.shell(#"cp --sparse=always "$1" "$2" && truncate --size="$3" "$2""#, self.path, path, "\(size)")
        return TableFile(path: path, size: size)
    }

    @discardableResult
    static func shell(_ script: String, _ arguments: String...) async throws -> String {
        try await Program("sh", debianPackage: "dash").run(["-c", script, "sh"] + arguments)
    }

    /// What an engine knows of it: its first MiB and its last.
    func picture() throws -> DiskPicture {
        let bytes = try TestImage.bytes(of: path)
        let tail = max(min(1 << 20, bytes.count), bytes.count - (1 << 20))
        var picture = DiskPicture(size: size)
        picture.add(Array(bytes[..<min(1 << 20, bytes.count)]), at: 0)
        picture.add(Array(bytes[tail...]), at: UInt64(tail))
        return picture
    }

    func put(_ edits: [TableEdit]) throws {
        let file = try FileHandle.open(path)
        defer { close(file) }
        for edit in edits {
            let count = unsafe edit.bytes.withUnsafeBytes {
                unsafe pwrite(file, $0.baseAddress, $0.count, off_t(edit.offset))
            }
            guard count == edit.bytes.count else { throw TestFailure(sentence: "write \(path)") }
        }
    }

    /// What the judges say; empty when they are content.
    func complaints() async throws -> String {
        let said = try await Self.shell(
            #"sgdisk --verify "$1" 2>&1; sfdisk --verify "$1" 2>&1; echo "sfdisk: $?"; blkid -p -s PTTYPE -o value "$1""#,
            path
        )
        let isFine = said.contains("No problems found") && said.contains("sfdisk: 0") && said.hasSuffix("gpt\n")
        return isFine ? "" : said
    }

    /// The table as sfdisk reads it, without the name of the file.
    func dump() async throws -> String {
        try await Self.shell(#"sfdisk --dump "$1" | sed 's|^.*/[^ ]* *:|:|; /^device/d'"#, path)
    }
}

struct TestFailure: Error {
    let sentence: String
}

enum FileHandle {
    static func open(_ path: String) throws -> Int32 {
        let descriptor = unsafe Glibc.open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { throw TestFailure(sentence: "open \(path)") }
        return descriptor
    }
}
