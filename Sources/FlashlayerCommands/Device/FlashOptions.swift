// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import BlockDevices
import Digests
import DiskImages
import Flashing
import Model

/// The options of every command that overwrites devices.
struct FlashOptions: ParsableArguments, Sendable {
    @Flag(name: [.short, .long], help: "Do not ask for the disk's name. This lifts no rule.")
    var yes = false

    @Option(
        name: .long,
        parsing: .singleValue,
        help: ArgumentHelp(
            "Allow what is refused otherwise: internal, virtual, member or large. May be repeated.",
            valueName: "code"
        ),
        completion: .list(Rule.all.filter(\.isOverridable).map(\.code.rawValue))
    )
    var allow: [String] = []

    @Flag(help: "Unmount what is mounted from the disk, and nothing else; mount it again if nothing is written.")
    var unmount = false

    @Flag(
        name: .customLong("no-verify"),
        help: "Do not read back what was written. Quicker; a disk that loses data then goes unnoticed."
    )
    var skipsVerify = false

    @Flag(exclusivity: .exclusive)
    var rewrite: RewriteChoice?

    @Option(help: "What holes of the image become: zero, or skip to keep what the disk has there.")
    var holes = HolesChoice.zero

    @Option(
        name: .customLong("repair"),
        help: ArgumentHelp("How often what was read back wrong is written once more: 0 to 16.", valueName: "times")
    )
    var repairs = 1

    @OptionGroup var table: TableWritingOptions
    @OptionGroup var engine: EngineOptions

    func validate() throws {
        guard (0...16).contains(repairs) else { throw ValidationError("--repair takes a number from 0 to 16") }
        guard !(skipsVerify && repairs > 1) else {
            throw ValidationError("--repair needs the read-back that --no-verify leaves out")
        }
    }

    /// - Throws: `usage` for a rule that does not exist or cannot be lifted.
    func allowed() throws -> Set<ErrorCode> {
        try Set(allow.map { try Rule.allowance($0) })
    }

    /// - Parameter targets: in the order in which they were named.
    func job(_ image: ImageReference, targets: [FlashJob.Target]) -> FlashJob {
        var job = FlashJob(mode: .write, image: image, targets: targets)
        job.verifies = !skipsVerify
        job.rewrite = rewrite?.value ?? .sampled
        job.holes = holes.value
        job.repairs = repairs
        job.timeout = engine.timeout
        table.apply(to: &job)
        return job
    }
}

/// How much is written to a disk that holds the image in part. By default samples decide.
enum RewriteChoice: EnumerableFlag, Sendable {
    case onlyChanged, full

    var value: FlashJob.Rewrite {
        switch self {
        case .onlyChanged: .onlyChanged
        case .full: .full
        }
    }

    static func help(for value: RewriteChoice) -> ArgumentHelp? {
        switch value {
        case .onlyChanged: "Compare everything first and write only what differs. By default where that pays."
        case .full: "Write everything, whatever the disk holds."
        }
    }
}

/// What becomes of the image's holes on the disk.
enum HolesChoice: String, ExpressibleByArgument, CaseIterable, Sendable {
    case zero, skip

    var value: FlashJob.Holes {
        switch self {
        case .zero: .zero
        case .skip: .skip
        }
    }
}

/// The options of every command that is given an image to write or to compare with.
struct ImageOptions: ParsableArguments, Sendable {
    @Option(
        help: ArgumentHelp(
            "The image's block map, whose digests it must have. Default: the one beside the image.",
            valueName: "file"
        ),
        completion: .file()
    )
    var bmap: String?

    @Flag(name: .customLong("no-bmap"), help: "Leave a block map beside the image out of account.")
    var skipsMap = false

    @Option(
        help: ArgumentHelp("The SHA-256 that the image file must have, as it is stored.", valueName: "hex"),
        transform: ImageOptions.digest
    )
    var sha256: Digest?

    @Flag(
        name: .customLong("from-device"),
        help: "The image is a disk or partition, to be copied as it is. Nothing may write to it meanwhile."
    )
    var isDevice = false

    func validate() throws {
        guard bmap == nil || !skipsMap else { throw ValidationError("--bmap and --no-bmap exclude each other") }
    }

    /// As on a command line that gives none of them. What was not parsed cannot be read.
    static var unset: ImageOptions {
        get throws { try parse([]) }
    }

    func reference(_ location: String) -> ImageReference {
        let map: ImageReference.BlockMapChoice = bmap.map { .file($0) } ?? (skipsMap ? .none : .beside)
        return ImageReference(location, sha256: sha256, blockMap: map)
    }

    private static func digest(_ text: String) throws -> Digest {
        guard let digest = Digest(hex: text) else {
            throw ValidationError("--sha256 takes the 64 hexadecimal digits that sha256sum prints")
        }
        return digest
    }
}

/// The options of every command that uses devices through an engine.
struct EngineOptions: ParsableArguments, Sendable {
    @Option(help: ArgumentHelp("Give up a disk that completes nothing for so long.", valueName: "seconds"))
    var timeout = 120

    @Option(
        help: ArgumentHelp("Wait so long for a disk that is not there yet.", valueName: "seconds")
    )
    var wait: Int?

    @Flag(help: "Report as JSON lines on standard output.")
    var json = false

    @Option(
        help: ArgumentHelp(
            "Leave a record of what was done in this file, as JSON, however it ends.",
            valueName: "file"
        ),
        completion: .file()
    )
    var report: String?

    func validate() throws {
        guard (1...86400).contains(timeout) else {
            throw ValidationError("--timeout takes a number of seconds, at most a day (86400)")
        }
        guard wait.map({ (0...86400).contains($0) }) ?? true else {
            throw ValidationError("--wait takes a number of seconds, at most a day (86400)")
        }
    }
}
