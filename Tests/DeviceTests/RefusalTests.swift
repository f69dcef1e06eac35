// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import FoundationEssentials
import Glibc
import Model
import Programs
import TestSupport
import Testing

/// The rules against this machine's own kernel.
@Suite(
    "Refusing a device",
    .serialized,
    .enabled(if: LoopDevice.isAvailable, Comment(rawValue: LoopDevice.requirement))
)
struct RefusalTests {
    @Test("a loop device that nobody uses needs one word, whatever its sector", arguments: [512, 4096])
    func free(sectorSize: Int) throws {
        let loop = try LoopDevice(size: 1 << 20, sectorSize: sectorSize)
        defer { loop.close() }
        let disk = try Inventory().disk(at: loop.path)
        #expect(disk.refusals.map(\.code) == [.virtual])
        #expect(disk.size == 1 << 20)
        #expect(disk.logicalSectorSize == sectorSize)
        #expect(disk.transport == .loop)
        #expect(disk.diskseq != nil)
        #expect(try codes(loop) == [])
    }

    @Test("a mounted loop device")
    func mounted() async throws {
        let loop = try LoopDevice(size: 16 << 20)
        defer { loop.close() }
        try await mke2fs(loop.path)
        let mount = try await Mounted(loop.path)
        #expect(try codes(loop) == [.mounted])
        #expect(try evidence(loop).hasPrefix("\(loop.path) mounted at \(mount.path) (mountinfo "))
        mount.close()
    }

    @Test("a loop device with a mounted partition")
    func mountedPartition() async throws {
        let loop = try LoopDevice(size: 32 << 20)
        defer { loop.close() }
        try await partition(loop, "label: gpt\nsize=8MiB\nsize=16MiB\n")
        try await addNodes(loop)
        try await mke2fs("\(loop.path)p2")
        let mount = try await Mounted("\(loop.path)p2")
        defer { mount.close() }
        #expect(try codes(loop) == [.mounted])
        #expect(try evidence(loop).hasPrefix("\(loop.path)p2 mounted at \(mount.path) (mountinfo "))
        let disk = try Inventory().disk(at: loop.path)
        #expect(disk.partitions.map(\.mountPoints) == [[], [mount.path]])
        #expect(disk.partitions.map(\.fsType) == [nil, "ext4"])
        #expect(disk.contents == "ext4 data, 2 partitions")
    }

    @Test("a mount that only another mount namespace has")
    func otherNamespace() async throws {
        let loop = try LoopDevice(size: 16 << 20)
        defer { loop.close() }
        try await mke2fs(loop.path)
        let folder = try TemporaryFolder()
        // The new namespace begins with a copy of every mount: those of other tests must not live on in it.
        let script =
            "grep ^/dev/loop /proc/mounts | cut -d ' ' -f 2 | xargs -r umount; mount \(loop.path) \(folder.path) && touch \(folder.path)/there && echo up >&2 && sleep 60"
        let (ups, up) = AsyncStream.makeStream(of: Void.self)
        let holder = Task {
            try await Program("unshare", debianPackage: "util-linux")
                .outcome(["--mount", "sh", "-c", script]) { line in if line == "up" { up.yield() } }
        }
        for await _ in ups { break }
        #expect(!FileManager.default.fileExists(atPath: folder.file("there")))
        #expect(try codes(loop) == [.mounted])
        #expect(try evidence(loop).contains("in another mount namespace: process "))
        holder.cancel()
        _ = try? await holder.value
    }

    @Test("a loop device, or a partition of one, that backs another")
    func backsLoop() async throws {
        let loop = try LoopDevice(size: 32 << 20)
        defer { loop.close() }
        try await partition(loop, "label: gpt\nsize=8MiB\n")
        try await addNodes(loop)
        do {
            let upper = try LoopDevice(attaching: "\(loop.path)p1")
            defer { upper.close() }
            #expect(try codes(loop) == [.backsLoop])
            #expect(try evidence(loop) == "\(upper.path) reads and writes \(loop.path)p1")
        }
        let upper = try LoopDevice(attaching: loop.path)
        defer { upper.close() }
        #expect(try codes(loop) == [.backsLoop])
        // What is mounted below makes the upper one mounted too: it is the same storage.
        try await mke2fs("\(loop.path)p1")
        let mount = try await Mounted("\(loop.path)p1")
        defer { mount.close() }
        #expect(try codes(upper) == [.mounted])
    }

    @Test("two loop devices over one file")
    func sharedFile() throws {
        let loop = try LoopDevice(size: 1 << 20)
        defer { loop.close() }
        let link = loop.backingFile + "-link"
        #expect(unsafe link.withCString { to in unsafe Glibc.link(loop.backingFile, to) } == 0)
        defer { unsafe unlink(link) }
        let other = try LoopDevice(attaching: link)
        defer { other.close() }
        #expect(try codes(loop) == [.backsLoop])
        #expect(try codes(other) == [.backsLoop])
    }

    @Test("a device that is too small by one byte")
    func tooSmall() throws {
        let loop = try LoopDevice(size: 1 << 20)
        defer { loop.close() }
        #expect(try codes(loop, WriteRequest(imageSize: 1 << 20, allowed: [.virtual])) == [])
        #expect(try codes(loop, WriteRequest(imageSize: 1 << 20 + 1, allowed: [.virtual])) == [.tooSmall])
    }

    @Test("a read-only device")
    func readOnly() throws {
        let loop = try LoopDevice(size: 1 << 20, readOnly: true)
        defer { loop.close() }
        #expect(try codes(loop) == [.readOnly])
    }

    @Test("a loop device without a file")
    func unbound() throws {
        let loop = try LoopDevice(size: 1 << 20)
        defer { loop.close() }
        loop.detach()
        #expect(try codes(loop) == [.noMedium])
        #expect(try !Inventory().disks().contains { $0.path == loop.path })
    }

    @Test("the loop device over the image itself, and the one that holds the image")
    func holdsSource() async throws {
        let loop = try LoopDevice(size: 32 << 20)
        defer { loop.close() }
        let link = loop.backingFile + "-hard"
        #expect(unsafe link.withCString { to in unsafe Glibc.link(loop.backingFile, to) } == 0)
        defer { unsafe unlink(link) }
        for name in [loop.backingFile, link] {
            #expect(try codes(loop, WriteRequest(sourceFiles: [name], allowed: [.virtual])) == [.holdsSource])
        }
        #expect(
            try codes(loop, WriteRequest(sourceFiles: [loop.path], allowed: [.virtual])) == [.holdsSource]
        )
        try await mke2fs(loop.path)
        let mount = try await Mounted(loop.path)
        defer { mount.close() }
        let image = "\(mount.path)/image.raw"
        try Data([1, 2, 3]).write(to: URL(filePath: image))
        // One that is there, and a report that is yet to be written.
        for name in [image, "\(mount.path)/records/new.json"] {
            let request = WriteRequest(sourceFiles: [name], allowed: [.virtual])
            #expect(try codes(loop, request) == [.mounted, .holdsSource])
        }
        // An image that is a loop over a file on this one.
        let inner = "\(mount.path)/inner.img"
        let file = unsafe open(inner, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        ftruncate(file, 4 << 20)
        close(file)
        let upper = try LoopDevice(attaching: inner)
        defer { upper.close() }
        let through = WriteRequest(sourceFiles: [upper.path], allowed: [.virtual])
        #expect(try codes(loop, through) == [.mounted, .holdsSource])
    }

    @Test("a file elsewhere is no reason")
    func sourceElsewhere() throws {
        let loop = try LoopDevice(size: 1 << 20)
        defer { loop.close() }
        #expect(try codes(loop, WriteRequest(sourceFiles: ["/etc/hostname"], allowed: [.virtual])) == [])
    }

    @Test("a loop device that is swap")
    func swap() async throws {
        let loop = try LoopDevice(size: 16 << 20)
        defer { loop.close() }
        try await Program("mkswap", debianPackage: "util-linux").run([loop.path])
        try await Program("swapon", debianPackage: "mount").run([loop.path])
        let found = Result { (try codes(loop), try evidence(loop)) }
        try await Program("swapoff", debianPackage: "mount").run([loop.path])
        #expect(try found.get() == ([.swap], "\(loop.path) is swap (/proc/swaps)"))
    }

    @Test("links are followed; partitions, files, folders and what is not there are told apart")
    func paths() async throws {
        let loop = try LoopDevice(size: 32 << 20)
        defer { loop.close() }
        try await partition(loop, "label: gpt\nsize=8MiB\n")
        try await addNodes(loop)
        let folder = try TemporaryFolder()
        try FileManager.default.createSymbolicLink(atPath: folder.file("stick"), withDestinationPath: loop.path)
        let inventory = try Inventory()
        #expect(try inventory.disk(at: folder.file("stick")).path == loop.path)

        for (path, code) in [
            ("\(loop.path)p1", ErrorCode.partition), (loop.backingFile, .notBlockDevice),
            (folder.path, .notBlockDevice), ("/dev/null", .notBlockDevice), (folder.file("none"), .notFound),
            ("", .notFound),
        ] {
            #expect(refusal { _ = try inventory.disk(at: path) } == code, "\(path)")
        }
    }

    @Test("the disk that this machine runs from is refused by every allowance")
    func ownDisk() throws {
        let disks = try Inventory().disks()
        let root = try #require(disks.first { $0.refusals.contains { $0.code == .systemDisk } } ?? disks.first)
        guard root.transport != .loop else { return }
        let refused = try Inventory().refusals(
            of: root,
            for: WriteRequest(allowed: Set(Rule.all.map(\.code)))
        )
        #expect(refused.map(\.code).contains(.systemDisk))
    }

    private func codes(_ loop: LoopDevice, _ request: WriteRequest = WriteRequest(allowed: [.virtual])) throws
        -> [ErrorCode]
    {
        let inventory = try Inventory()
        return inventory.refusals(of: try inventory.disk(at: loop.path), for: request).map(\.code)
    }

    /// Of the first refusal that cannot be lifted.
    private func evidence(_ loop: LoopDevice) throws -> String {
        try Inventory().disk(at: loop.path).refusals.first { !$0.overridable }?.evidence ?? ""
    }

    private func mke2fs(_ path: String) async throws {
        try await Program("mkfs.ext4", debianPackage: "e2fsprogs").run(["-q", "-F", "-L", "data", path])
    }
}

/// A file system mounted at a folder of its own.
private struct Mounted {
    private let folder: TemporaryFolder
    var path: String { folder.path }

    init(_ device: String) async throws {
        folder = try TemporaryFolder()
        try await Program("mount", debianPackage: "mount").run([device, folder.path])
    }

    func close() {
        unsafe umount(folder.path)
    }
}
