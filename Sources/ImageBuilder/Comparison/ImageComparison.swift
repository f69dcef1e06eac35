// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Layers
import Model
import Programs
package import Resolution

/// Compares what is in two disk images, of any format that QEMU reads. Both are only read.
package struct ImageComparison: Sendable {
    package struct Outcome: Sendable {
        /// Every byte of the raw content is the same: nothing needed to be looked into.
        package let isIdentical: Bool
        package let difference: ContentDifference
    }

    package let before: String
    package let after: String

    package init(before: String, after: String) {
        self.before = before
        self.after = after
    }

    /// - Parameter observer: is told what goes on.
    /// - Throws: `not-found`, `bad-image`, `unavailable`, or `CancellationError`.
    package func run(cache: Cache, observer: @escaping BuildObserver) async throws -> Outcome {
        let disks = try [before, after].map { try Disk($0) }
        if try await isIdentical(disks, observer) {
            return Outcome(isIdentical: true, difference: ContentDifference())
        }
        try await HostCheck.appliance()
        let accelerator = try await HostAccelerator.find()
        if let note = accelerator.note { observer(.note(note)) }
        let work = try await WorkFolder.make(in: cache)
        do {
            let log = try BuildLog(path: work.file("log"), observer: observer)
            var contents: [GuestContent] = []
            for disk in disks {
                contents.append(try await content(of: disk, accelerator.accelerator, work, log))
            }
            await work.remove()
            return Outcome(isIdentical: false, difference: ContentDifference(contents[0], contents[1]))
        } catch {
            await work.remove()
            throw error
        }
    }

    private struct Disk: Sendable {
        /// As the user names it.
        let name: String
        /// Absolute, links resolved: libguestfs refers to it from a folder of its own.
        let path: String
        let format: String

        init(_ name: String) throws {
            self.name = name
            guard let resolved = unsafe realpath(name, nil) else {
                throw FlashlayerError.system("open the image \(name)", .current, code: .notFound)
            }
            defer { unsafe free(resolved) }
            path = unsafe String(cString: resolved)
            var status = stat()
            guard unsafe stat(path, &status) == 0 else {
                throw FlashlayerError.system("open the image \(name)", .current, code: .notFound)
            }
            format = status.st_mode & S_IFMT == S_IFBLK ? "raw" : try GuestDisk.format(of: path)
        }
    }

    /// qemu-img(1) ends with 0 when the contents are the same, with 1 when they differ.
    private func isIdentical(_ disks: [Disk], _ observer: BuildObserver) async throws -> Bool {
        if disks[0].path == disks[1].path { return true }
        observer(.activity("comparing \(before) and \(after) byte by byte"))
        let outcome = try await QEMU.image().outcome([
            "compare", "-q", "-s", "-f", disks[0].format, "-F", disks[1].format, disks[0].path, disks[1].path,
        ])
        guard outcome.status <= 1 else {
            throw FlashlayerError(.badImage, "the images cannot be read: \(outcome.errors)")
        }
        return outcome.status == 0
    }

    private func content(
        of disk: Disk,
        _ accelerator: Accelerator,
        _ work: WorkFolder,
        _ log: BuildLog
    ) async throws -> GuestContent {
        log.tell(.activity("reading what is in \(disk.name)"))
        let temporary = work.file("appliance")
        try Cache.makeFolder(temporary)
        let file = work.file("content.json")
        let job = ApplianceJob(
            drives: [.init(path: disk.path, format: disk.format, readOnly: true)],
            accelerator: accelerator,
            network: false,
            temporaryFolder: temporary,
            stages: [.init(.finish, [.inspect, .readContent(hostPath: file)])]
        )
        do {
            try await ApplianceRun(job: job, log: log).run()
        } catch let error as FlashlayerError {
            throw FlashlayerError(error.code, "\(disk.name): \(error.message)", advice: error.advice)
        }
        guard
            let data = FileManager.default.contents(atPath: file),
            let content = try? JSONDecoder().decode(GuestContent.self, from: data)
        else {
            throw FlashlayerError(.fault, "the builder did not say what is in \(disk.name)")
        }
        return content
    }
}
