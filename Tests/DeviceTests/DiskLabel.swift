// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Programs
import TestSupport

/// Partition tables as the tools of other people write and see them.
enum DiskLabel {
    /// Writes a GPT with two partitions to an image or a device. It counts in sectors.
    static func write(to path: String, sectorSize: Int = 512) async throws {
        guard sectorSize != 512 else { return try await label(path) }
        // sfdisk asks a device for the size of its sectors; for a file it takes 512.
        let loop = try LoopDevice(attaching: path, sectorSize: sectorSize)
        defer { loop.close() }
        try await label(loop.path)
    }

    private static func label(_ path: String) async throws {
        try await Program("sh", debianPackage: "dash").run([
            "-c",
            #"printf 'label: gpt\nsize=4M\nsize=8M\n' | sfdisk --quiet --no-reread --no-tell-kernel --lock=no "$1""#,
            "sh", path,
        ])
    }

    /// Whether any tool takes what is there for a partition table, at either end: the backup of a GPT counts.
    static func isSeen(on path: String) async throws -> Bool {
        let blkid = try await Program("blkid", debianPackage: "util-linux")
            .outcome(["--probe", "--match-tag", "PTTYPE", path])
        if blkid.output.contains("PTTYPE") { return true }
        if try await Program("sfdisk", debianPackage: "fdisk").outcome(["--dump", path]).status == 0 { return true }
        // It would make a table from a backup, and lists what it found in one.
        let sgdisk = try await Program("sgdisk", debianPackage: "gdisk").outcome(["--print", path])
        return sgdisk.output.split(separator: "\n").contains { line in
            let words = line.split(separator: " ")
            return line.first == " " && words.count > 3 && words.first.map { Int($0) != nil } ?? false
        }
    }
}
