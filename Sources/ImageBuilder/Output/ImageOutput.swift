// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Digests
import DiskImages
import FoundationEssentials
import Glibc
import Layers
package import Model
import Programs
import Resolution

/// Where a build's results go: the image, and beside it its block map, its description and the build's log.
package struct ImageOutput: Sendable {
    package enum Format: String, Sendable, CaseIterable {
        case qcow2, raw
    }

    package let path: String
    package let format: Format

    /// What is made of the image afterwards, in place of what is there: checked before the build starts.
    package var exports: [String] = []
    /// Folders that are made of the layers.
    package var folders: [String] = []

    package init(path: String, format: Format) {
        self.path = path
        self.format = format
    }

    /// `kiosk.qcow2` -> `kiosk`; a name without one of our endings is taken whole.
    private var stem: String { Self.stem(of: path) }

    /// Beside the image: `kiosk.vdi` for `kiosk.qcow2`.
    package func export(_ format: ExportFormat) -> String { stem + (format.endings.first ?? "") }

    /// A folder beside the image: `kiosk-packer` for `kiosk.qcow2`.
    package func folder(_ export: LayerExport) -> String { stem + export.ending }

    static func stem(of path: String) -> String {
        for ending in [".qcow2", ".raw", ".img"] where path.hasSuffix(ending) && path.count > ending.count {
            return String(path.dropLast(ending.count))
        }
        return path
    }

    package var blockMap: String { stem + ".bmap" }
    package var description: String { stem + ".json" }
    package var inventory: String { stem + ".spdx.json" }
    package var log: String { stem + ".log" }
    /// Of a build that failed, if it is to be kept.
    package var failedDisk: String { stem + ".failed.qcow2" }

    private var folder: String {
        let folder = path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        return folder.isEmpty ? (path.hasPrefix("/") ? "/" : ".") : folder
    }

    /// - Parameters:
    ///   - inputs: files that the build reads; none of them may be replaced by what it makes.
    ///   - folders: whose files it reads.
    /// - Throws: `cannot-create` when the image cannot be put there: better now than after minutes.
    func confirmPossible(replacingNoneOf inputs: [String] = [], orWithin folders: [String] = []) throws {
        for made in [path, blockMap, description, inventory, log, failedDisk] + exports + self.folders {
            let absolute = Path.absolute(made)
            if let layer = folders.first(where: { absolute.hasPrefix($0 + "/") }) {
                throw FlashlayerError(
                    .cannotCreate,
                    "\(made) would lie in the layer \(layer), which the build reads",
                    advice: "name another place for the image: -o FILE"
                )
            }
            if let input = inputs.first(where: { Self.isSameFile($0, made) || Path.absolute($0) == absolute }) {
                throw FlashlayerError(
                    .cannotCreate,
                    "the build reads \(input) and would replace it by its own \(made)",
                    advice: "name another file for the image: -o FILE"
                )
            }
        }
        for made in [path] + exports {
            var status = stat()
            guard unsafe stat(made, &status) == 0, status.st_mode & S_IFMT != S_IFREG else { continue }
            throw FlashlayerError(
                .cannotCreate,
                "\(made) is there and is no file",
                advice: "name a file: -o FILE. To put an image onto a device: flashlayer write, or build-and-write"
            )
        }
        guard unsafe access(folder, W_OK | X_OK) == 0 else {
            throw FlashlayerError.system("write into the folder \(folder)", .current, code: .cannotCreate)
        }
    }

    /// Whether two names lead to the same file; links are followed.
    private static func isSameFile(_ one: String, _ other: String) -> Bool {
        var first = stat()
        var second = stat()
        guard unsafe stat(one, &first) == 0, unsafe stat(other, &second) == 0 else { return false }
        return first.st_ino == second.st_ino && first.st_dev == second.st_dev
    }

    /// Converts the disk, digests it, and puts everything in place: what has its final name is complete. An image that is
    /// there from an earlier build of the same, and was not touched since, stays.
    func write(_ finished: FinishedDisk, plan: Plan, work: WorkFolder, log: BuildLog) async throws -> BuildResult {
        let software = try InstalledSoftware(file: finished.packageList)
        let records = OutputRecords(finished.checkpoint)
        let record: OutputRecord
        if let known = records.find(path, format) {
            log.tell(.activity("\(path) is there already"))
            record = known
        } else {
            record = try await convert(finished.disk, log)
            records.note(record)
        }
        let result = BuildResult(
            image: path,
            format: format.rawValue,
            size: record.size,
            rawSha256: record.rawSha256,
            imageDigest: record.imageDigest,
            packages: software.packages
        )
        try HostFile.replaceIfOther(blockMap, with: record.blockMap)
        try HostFile.replaceIfOther(
            description,
            with: try ImageDescription(plan: plan, result: result, log: self.log).json()
        )
        try HostFile.replaceIfOther(inventory, with: try SPDXDocument(plan: plan, software: software).json())
        return result
    }

    private func convert(_ disk: String, _ log: BuildLog) async throws -> OutputRecord {
        let temporary = "\(path).part-\(getpid())"
        defer { unsafe unlink(temporary) }
        log.tell(.activity("writing \(path)"))
        try await SpaceWatch(path: folder).during {
            _ = try await QEMU.image().run([
                "convert", "-q", "-W", "-m", "8", "-f", "qcow2", "-O", format.rawValue, disk,
                QemuImage.argument(temporary),
            ])
        }
        OutputOwner.adopt(temporary)
        log.tell(.activity("taking its digests"))
        let scan = try await Self.scan(try await ImageFormat.openLocal(temporary))
        guard let rawSha256 = scan.rawSha256 else { throw FlashlayerError(.fault, "the image has no digest") }
        try HostFile.flush(temporary)
        // What describes the old image must never stand beside the new one.
        for stale in [blockMap, description, inventory] { unsafe unlink(stale) }
        guard unsafe rename(temporary, path) == 0 else {
            throw FlashlayerError.system("put the image into \(path)", .current, code: .cannotCreate)
        }
        return OutputRecord(
            path: Path.absolute(path),
            format: format.rawValue,
            identity: try FileIdentity(of: path),
            size: scan.size,
            rawSha256: rawSha256,
            imageDigest: try scan.imageDigest,
            blockMap: try scan.blockMap.xml()
        )
    }

    private static func scan(_ source: any RandomAccessSource) async throws -> ImageScan {
        do {
            return try await ImageScan.scan(source, wholeDigest: true)
        } catch {
            // Whoever cancelled knows why.
            try Task.checkCancellation()
            throw error
        }
    }
}

/// What a build made.
package struct BuildResult: Sendable, Equatable {
    /// The path of the image file.
    package let image: String
    package let format: String
    /// Bytes of raw content.
    package let size: UInt64
    package let rawSha256: Digest
    package let imageDigest: ImageDigest
    package let packages: [InstalledPackage]
}
