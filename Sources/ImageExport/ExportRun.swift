// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
package import Digests
import DiskImages
import Glibc
package import Layers
package import Model
import Programs
import Threads

/// Puts an image into another format, and proves that it is the same image.
///
/// Everything happens in a folder beside the output (see `StagingFolder`): the output gets its name when it was read
/// back and is on stable storage, and until then what had the name before keeps it.
package struct ExportRun: Sendable {
    package enum Step: String, Sendable {
        case write, verify, pack
    }

    package typealias Progress = @Sendable (_ step: Step, _ done: UInt64, _ total: UInt64) -> Void

    package let image: String
    package let output: String
    package let form: ExportForm
    /// Whether a file that is there may be replaced.
    package var replaces: Bool
    /// For an archive.
    package var hardware: VirtualHardware
    /// What the image is known to be; nil: it is read to find out.
    package var imageDigest: ImageDigest?
    /// Whether the SHA-256 of the whole raw content is computed as well, of the image and of the output.
    package var wholeDigest: Bool

    package init(
        _ image: String,
        to output: String,
        as form: ExportForm,
        replaces: Bool = false,
        hardware: VirtualHardware = VirtualHardware(),
        imageDigest: ImageDigest? = nil,
        wholeDigest: Bool = false
    ) {
        self.image = image
        self.output = output
        self.form = form
        self.replaces = replaces
        self.hardware = hardware
        self.imageDigest = imageDigest
        self.wholeDigest = wholeDigest
    }

    /// Cancelling the task ends it; nothing of it stays behind.
    ///
    /// - Throws: `not-found`, `bad-image`, `source-changed`, `no-space`, `cannot-create`, `busy`, `verify-failed`,
    ///   `unavailable`; `CancellationError`.
    package func run(onProgress: @escaping Progress = { _, _, _ in }) async throws -> ExportResult {
        let start = ContinuousClock.now
        try Self.confirmName(of: output, as: form)
        try confirmFile()
        let source = try await ImageFormat.openLocal(image)
        try confirm(source)
        let staging = try StagingFolder(beside: output)
        do {
            try SpaceNeed(form, extents: source.extents, size: source.size).confirm(in: staging.parent)
            let result = try await make(source, staging, since: start, onProgress)
            staging.remove()
            return result
        } catch {
            staging.remove()
            // Whoever cancelled knows why.
            try Task.checkCancellation()
            throw error
        }
    }

    /// A device is not what is meant: it has no end of its own, and may change at any time.
    private func confirmFile() throws {
        var status = stat()
        guard unsafe stat(image, &status) == 0, status.st_mode & S_IFMT == S_IFBLK else { return }
        throw FlashlayerError(
            .badImage,
            "\(image) is a device; an export reads image files",
            advice: "copy it to a file first: dd if=\(image) of=IMAGE bs=4M conv=sparse"
        )
    }

    private func confirm(_ source: any RandomAccessSource) throws {
        // With its parts, which go when it is replaced.
        let folder = StagingFolder.parent(of: output)
        for own in [output] + (VMDKDescriptor.extents(of: output) ?? []).map({ "\(folder)/\($0)" })
        where source.files.contains(where: { Self.isSame($0, own) }) {
            throw FlashlayerError(
                .cannotCreate,
                own == output
                    ? "\(output) is the image itself, or a part of it"
                    : "\(output) has \(own), which the image has as well",
                advice: "name another file"
            )
        }
        let isArchive = form.format == .ova || form.format == .vagrant
        if isArchive, machineName.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) {
            // A manifest has a line for each file, and XML turns a tab into a space.
            throw FlashlayerError(
                .usage,
                "the name of \(output.printable) has a tab, a line end or another control character, which no reader of "
                    + "archives takes",
                advice: "name another file"
            )
        }
        // qemu-img would add zeros, and the result would be another image.
        guard source.size % 512 == 0 || form.format == .raw else {
            throw FlashlayerError(
                .badImage,
                "\(image) has \(source.size) bytes, which is no whole number of sectors: a \(form.format.rawValue) cannot "
                    + "hold just that",
                advice: "add zeros to the end of the image: truncate --size=%512 FILE"
            )
        }
        guard form.format != .vpc || source.size <= Self.largestVPC else {
            throw FlashlayerError(
                .usage,
                "\(image) has \(ByteSize.describe(source.size)), and a vpc (.vhd) holds at most 2040 GiB",
                advice: "take vhdx instead"
            )
        }
    }

    /// What is made on the way has longer names than the output, and a vmdk in parts has its name in a text.
    ///
    /// - Throws: `usage`, with what is allowed.
    package static func confirmName(of output: String, as form: ExportForm) throws {
        let name = output.split(separator: "/").last.map(String.init) ?? ""
        let isInParts = form.subformat == .twoGbMaxExtentSparse
        let limit = isInParts ? StagingFolder.longestNameInParts : StagingFolder.longestName
        guard name.utf8.count <= limit else {
            throw FlashlayerError(
                .usage,
                "the name of \(output.printable) has \(name.utf8.count) bytes, and may have \(limit)",
                advice: "name a file with a shorter name"
            )
        }
        guard isInParts,
            name.unicodeScalars.contains(where: { $0 == "\"" || $0.properties.generalCategory == .control })
        else { return }
        throw FlashlayerError(
            .usage,
            "the name of \(output.printable) has a quotation mark, a line end or another control character, which the "
                + "text that describes a vmdk in parts cannot hold",
            advice: "name another file, or take another subformat"
        )
    }

    private static func isSame(_ one: String, _ other: String) -> Bool {
        var first = stat()
        var second = stat()
        guard unsafe stat(one, &first) == 0, unsafe stat(other, &second) == 0 else { return false }
        return first.st_ino == second.st_ino && first.st_dev == second.st_dev
    }

    /// What others may do with the image.
    private var imageMode: mode_t {
        var status = stat()
        return unsafe stat(image, &status) == 0 ? status.st_mode & 0o666 : 0o600
    }

    private static let largestVPC = 2040 * ByteSize.gibibyte

    // MARK: - Making it

    /// The name of an archive's machine, and of the files in it.
    private var machineName: String {
        let name = output.split(separator: "/").last.map(String.init) ?? "image"
        let ending = form.format.endings.first { name.lowercased().hasSuffix($0) && name.count > $0.count }
        return String(name.dropLast(ending?.count ?? 0))
    }

    private func make(
        _ source: any RandomAccessSource,
        _ staging: StagingFolder,
        since start: ContinuousClock.Instant,
        _ onProgress: @escaping Progress
    ) async throws -> ExportResult {
        let ownName = output.split(separator: "/").last.map(String.init) ?? output
        // The names are in the files: a vmdk says what its parts are called.
        let disk =
            switch form.format {
            case .ova: Packaging.diskName(machineName)
            // Not as the archive around it, whatever that is called.
            case .vagrant: ownName == "box.img" ? "box.img.disk" : "box.img"
            default: form.subformat == .twoGbMaxExtentSparse ? staging.uniqueName() : ownName
            }
        // What an archive holds has to have a name that fits: better known now than at the end.
        if form.format == .ova || form.format == .vagrant {
            _ = try ApplianceArchive.header(disk, size: 0, modified: 0)
        }
        let expected = try await convert(source, to: staging.file(disk), onProgress)
        let scan = try await readBack(staging.file(disk), source, expected, onProgress)
        try source.confirmUnchanged()
        var parts: [String] = []
        if form.format == .ova || form.format == .vagrant {
            let populated = source.extents.reduce(0) { $1.kind == .data ? $0 + $1.length : $0 }
            let packaging = Packaging(
                form: form,
                disk: staging.file(disk),
                archive: staging.file(ownName),
                name: machineName,
                facts: .init(capacity: source.size, populatedSize: populated),
                hardware: hardware
            )
            try await packaging.run { onProgress(.pack, $0, $1) }
            unsafe unlink(staging.file(disk))
            try staging.putInPlace(ownName, parts: [], mode: imageMode, replaces: replaces)
        } else {
            parts = form.subformat == .twoGbMaxExtentSparse ? VMDKDescriptor.extents(of: staging.file(disk)) ?? [] : []
            try Task.checkCancellation()
            try staging.putInPlace(disk, parts: parts, mode: imageMode, replaces: replaces)
        }
        let folder = staging.parent == "." ? "" : staging.parent == "/" ? "/" : "\(staging.parent)/"
        return ExportResult(
            form: form,
            files: [output] + parts.map { folder + $0 },
            size: scan.size,
            imageDigest: try scan.imageDigest,
            rawSha256: scan.rawSha256,
            seconds: Double((ContinuousClock.now - start) / .milliseconds(1)) / 1000
        )
    }

    /// What the output's content has to be.
    private struct Expected: Sendable {
        let imageDigest: ImageDigest
        let rawSha256: Digest?
    }

    /// The image is read once by qemu-img and once by us, at the same time: the second comes from memory, or costs the
    /// other processor.
    private func convert(
        _ source: any RandomAccessSource,
        to file: String,
        _ onProgress: @escaping Progress
    ) async throws -> Expected {
        let size = source.size
        let conversion = Conversion(
            source: QemuImage.argument(image),
            sourceFormat: source.facts.format,
            target: QemuImage.argument(file),
            form: form
        )
        let scan: ImageScan?
        do {
            scan = try await withThrowingTaskGroup(of: ImageScan?.self) { group in
                group.addTask {
                    try await conversion.run { onProgress(.write, UInt64($0 * Double(size)), size) }
                    return nil
                }
                if imageDigest == nil || wholeDigest {
                    group.addTask { [wholeDigest] in try await ImageScan.scan(source, wholeDigest: wholeDigest) }
                }
                var found: ImageScan?
                while let scan = try await group.next() { found = scan ?? found }
                return found
            }
        } catch {
            try Task.checkCancellation()
            // An image that is written to is why, whatever else that led to.
            try source.confirmUnchanged()
            throw error
        }
        try source.confirmUnchanged()
        if form.format == .raw { try cut(file, to: size) }
        let digest = try scan?.imageDigest
        if let imageDigest, let digest, imageDigest != digest {
            throw FlashlayerError(.digestMismatch, "\(image) has the digest \(digest), and should have \(imageDigest)")
        }
        guard let known = digest ?? imageDigest else { throw FlashlayerError(.fault, "the image has no digest") }
        return Expected(imageDigest: known, rawSha256: scan?.rawSha256)
    }

    /// qemu-img fills the last sector up.
    private func cut(_ file: String, to size: UInt64) throws {
        guard size % 512 != 0, unsafe truncate(file, off_t(size)) != 0 else { return }
        throw FlashlayerError.system("write \(output)", .current, code: .cannotCreate)
    }

    // MARK: - Proving it

    private func readBack(
        _ file: String,
        _ source: any RandomAccessSource,
        _ expected: Expected,
        _ onProgress: @escaping Progress
    ) async throws -> ImageScan {
        let files = [file] + (VMDKDescriptor.extents(of: file) ?? []).map { "\(StagingFolder.parent(of: file))/\($0)" }
        for file in files { try Self.letGo(of: file) }
        let size = source.size
        onProgress(.verify, 0, size)
        let stored = try await ImageFormat.openLocal(file, as: ImageFormat(rawValue: form.driver) ?? .raw)
        let scan = try await ImageScan.scan(stored, wholeDigest: wholeDigest) { onProgress(.verify, $0, size) }
        let isSame =
            try scan.size == size && scan.imageDigest == expected.imageDigest
            && scan.rawSha256 == (wholeDigest ? expected.rawSha256 : nil)
        guard isSame else {
            throw FlashlayerError(
                .verifyFailed,
                "what was read back of \(output) is not \(image): \(scan.size) bytes with the digest "
                    + "\(try scan.imageDigest), and not \(size) with \(expected.imageDigest)",
                advice: "nothing was put in place; the medium, or qemu-img, is not to be trusted"
            )
        }
        return scan
    }

    /// Puts the file on stable storage, and the system's memory of it away: what is read back then comes from there.
    private static func letGo(of file: String) throws {
        let descriptor = unsafe open(file, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0, fsync(descriptor) == 0 else {
            throw FlashlayerError.system("write \(file)", .current, code: .cannotCreate)
        }
        posix_fadvise(descriptor, 0, 0, Int32(POSIX_FADV_DONTNEED))
        close(descriptor)
    }
}

/// What an export made.
package struct ExportResult: Sendable {
    package let form: ExportForm
    /// The output, and behind it the parts that it refers to.
    package let files: [String]
    /// Of the disk, in bytes.
    package let size: UInt64
    package let imageDigest: ImageDigest
    package let rawSha256: Digest?
    package let seconds: Double

    /// Bytes that its files take on their file system.
    package var storedSize: UInt64 {
        files.reduce(0) { sum, file in
            var status = stat()
            return unsafe stat(file, &status) == 0 ? sum + UInt64(status.st_blocks) * 512 : sum
        }
    }
}
