// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import Flashing

/// What becomes of the partition table on a disk that is larger than the image.
enum TableChoice: String, ExpressibleByArgument, CaseIterable, Sendable {
    case relocate, keep

    var value: FlashJob.TableChoice {
        switch self {
        case .relocate: .relocate
        case .keep: .keep
        }
    }
}

/// For whoever compares a disk with an image.
struct TableOptions: ParsableArguments, Sendable {
    @Option(
        help: """
            On a disk larger than the image: relocate has the backup of a GPT at the end of the disk, where it belongs; \
            keep has the table exactly as in the image.
            """
    )
    var gpt = TableChoice.relocate
}

/// For whoever writes an image.
struct TableWritingOptions: ParsableArguments, Sendable {
    @OptionGroup var table: TableOptions

    @Flag(
        name: .customLong("new-guids"),
        help: """
            Give the GPT new GUIDs for the disk and its partitions. What names a partition by its PARTUUID does not find \
            it any more, and 'verify' does not know the disk.
            """
    )
    var newGUIDs = false

    @Flag(
        help: """
            Let the last partition and its file system (ext2 to ext4, xfs, btrfs) go on to the end of the disk, when all \
            of it is proved. Such a disk is not the image any more, and 'verify' says so.
            """
    )
    var grow = false

    func validate() throws {
        guard !grow || table.gpt == .relocate else {
            throw ValidationError("--grow needs the end of the disk, which --gpt keep leaves alone")
        }
        guard !newGUIDs || table.gpt == .relocate else {
            throw ValidationError("--new-guids changes the table that --gpt keep leaves as it is")
        }
    }

    func apply(to job: inout FlashJob) {
        job.table = table.gpt.value
        job.newGUIDs = newGUIDs
        job.grows = grow
    }
}
