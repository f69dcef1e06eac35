// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import FoundationEssentials
import Glibc
import Model
import Programs
import TestSupport
import Testing

/// Part of a suite that runs one test at a time: mounts of one test are seen by all.
extension RefusalTests {
    @Suite("flashlayer write --unmount")
    struct UnmountTests {
        let folder: TemporaryFolder
        private let image: String

        init() throws {
            folder = try TemporaryFolder()
            image = folder.file("image.raw")
            try TestImage.create(image, size: 4 << 20, data: [0..<(1 << 20)])
        }

        /// A disk with a file system of 16 MiB in partition 2, and a place to mount it at.
        func disk() async throws -> LoopDevice {
            let loop = try LoopDevice(size: 32 << 20)
            try await partition(loop, "label: gpt\nsize=8MiB\nsize=16MiB\n")
            try await addNodes(loop)
            try await run("mkfs.ext4", "-q", "-F", "-L", "data", "\(loop.path)p2")
            return loop
        }

        func run(_ program: String, _ arguments: String...) async throws {
            try await Program(program, debianPackage: "util-linux, mount or e2fsprogs").run(arguments)
        }

        /// Writes, once nobody else has the disk mounted: whatever makes a mount namespace of its own meanwhile, such as a
        /// build, copies what is mounted at that moment, and keeps it for as long as it lives.
        ///
        /// - Parameter isElsewhere: that is what is tested.
        func write(
            _ loop: LoopDevice,
            _ more: String...,
            image: String? = nil,
            isElsewhere: Bool = false
        ) async throws -> Program.Outcome {
            let deadline = ContinuousClock.now + .seconds(300)
            while true {
                let outcome = try await FlashlayerProgram.run(
                    ["write", image ?? self.image, loop.path, "--yes", "--allow", "virtual"] + more
                )
                let isCopied = outcome.status == 77 && outcome.errors.contains("(in another mount namespace")
                if isElsewhere || !isCopied || ContinuousClock.now > deadline { return outcome }
                try await Task.sleep(for: .milliseconds(200))
            }
        }

        /// The lines of mountinfo for a disk: where, which options, how it is shared.
        func mounts(of loop: LoopDevice) throws -> [String] {
            let lines = try String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8).split(separator: "\n")
            return lines.filter { $0.contains(" \(loop.path)p") }.map { line in
                let fields = line.split(separator: " ")
                let tail = line.split(separator: " - ").last ?? ""
                let isShared = fields[6].hasPrefix("shared:")
                return "\(fields[3]) \(fields[4]) \(fields[5]) \(isShared ? "shared" : "private") \(tail)"
            }
            .sorted()
        }

        func place(_ name: String) throws -> String {
            let path = folder.file(name)
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            return path
        }

        @Test("what is mounted from the disk is unmounted, bind mounts and nested ones too, and the disk is written")
        func writes() async throws {
            let loop = try await disk()
            defer { loop.close() }
            let place = try place("a b")
            let other = try self.place("other")
            try await run("mount", "\(loop.path)p2", place)
            try FileManager.default.createDirectory(atPath: place + "/sub", withIntermediateDirectories: true)
            try await run("mount", "--bind", place + "/sub", other)
            try await run("mount", "--bind", place, place + "/sub")
            defer { MountPoint.clear(place + "/sub", other, place) }

            let refused = try await write(loop)
            #expect(refused.status == 77)
            #expect(refused.errors.contains("--unmount"), "the advice helps here: \(refused.errors)")

            let outcome = try await write(loop, "--unmount", "--json")
            #expect(outcome.status == 0, "\(outcome.errors)")
            let events = try outcome.events()
            let gone = events.filter { $0["event"]?.text == "unmounted" }
            #expect(gone.first?["mountPoint"]?.text == place + "/sub", "the deepest first")
            #expect(Set(gone.compactMap { $0["mountPoint"]?.text }) == [place, place + "/sub", other])
            #expect(gone.allSatisfy { $0["target"]?.text == loop.path })
            #expect(!events.contains { $0["event"]?.text == "mounted" })
            #expect(try mounts(of: loop).isEmpty)
        }

        @Test("a busy file system stays: who uses it is named, and all is mounted again as it was")
        func busy() async throws {
            let loop = try await disk()
            defer { loop.close() }
            try await run("mkfs.ext4", "-q", "-F", "\(loop.path)p1")
            let (first, second) = (try place("one"), try place("two"))
            // The one that is unmounted first is the free one.
            try await run("mount", "\(loop.path)p2", second)
            try await run("mount", "-o", "ro,nosuid,noatime", "\(loop.path)p1", first)
            defer { MountPoint.clear(first, second) }
            let before = try mounts(of: loop)

            let holder = unsafe open(second + "/held", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
            let open = try await write(loop, "--unmount")
            close(holder)
            #expect(open.status == 77)
            #expect(open.errors.contains("[in-use]"), "\(open.errors)")
            #expect(open.errors.contains("process \(getpid()) ("), "\(open.errors)")
            #expect(open.errors.contains("has \(second)/held open"), "\(open.errors)")
            #expect(!open.errors.contains("--unmount"), "it was given")
            #expect(try mounts(of: loop) == before)

            // A loop device over a file on it, and another file system on top of it.
            try await run("truncate", "-s", "1M", second + "/inner.img")
            let inner = try LoopDevice(attaching: second + "/inner.img")
            let looped = try await write(loop, "--unmount")
            inner.close()
            #expect(
                looped.errors.contains("\(inner.path) is a loop device over \(second)/inner.img"),
                "\(looped.errors)"
            )
            #expect(try mounts(of: loop) == before)

            try FileManager.default.createDirectory(atPath: second + "/top", withIntermediateDirectories: true)
            try await run("mount", "-t", "tmpfs", "ours", second + "/top")
            let topped = try await write(loop, "--unmount")
            unsafe umount(second + "/top")
            #expect(topped.errors.contains("ours is mounted on it at \(second)/top"), "\(topped.errors)")
            #expect(try mounts(of: loop) == before)
        }

        @Test("what fails after the unmounting and before the first byte mounts it again")
        func failsLater() async throws {
            let loop = try await disk()
            defer { loop.close() }
            let place = try place("one")
            try await run("mount", "-o", "noexec,strictatime,nosymfollow", "\(loop.path)p2", place)
            defer { MountPoint.clear(place) }
            let before = try mounts(of: loop)

            // Swap on the other partition keeps the disk, as the second judgement finds; the first one found it, too.
            let locked = unsafe Glibc.open(loop.path, O_RDONLY | O_CLOEXEC)
            flock(locked, LOCK_EX)
            let outcome = try await write(loop, "--unmount", "--json")
            close(locked)
            #expect(outcome.status == 75, "\(outcome.errors)")
            let events = try outcome.events().compactMap { $0["event"]?.text }
            #expect(events.filter { ["mounted", "unmounted"].contains($0) } == ["unmounted", "mounted"])
            #expect(try mounts(of: loop) == before)
        }

        @Test("an image that lies on the disk itself stays there, by whatever path")
        func imageOnTarget() async throws {
            let loop = try await disk()
            defer { loop.close() }
            let place = try place("one")
            try await run("mount", "\(loop.path)p2", place)
            defer { MountPoint.clear(place) }
            try FileManager.default.copyItem(atPath: image, toPath: place + "/image.raw")
            let link = folder.file("link.raw")
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: place + "/image.raw")
            let before = try mounts(of: loop)
            for name in [place + "/image.raw", link] {
                let outcome = try await write(loop, "--unmount", image: name)
                #expect(outcome.status == 77)
                #expect(outcome.errors.contains("[holds-source]"), "\(outcome.errors)")
                #expect(try mounts(of: loop) == before)
            }
        }

        @Test("swap is not taken out of use, and what another namespace alone has mounted stays mounted")
        func notOurs() async throws {
            let loop = try await disk()
            defer { loop.close() }
            let place = try place("one")
            let script = "mount \(loop.path)p2 \(place) && echo up >&2 && sleep 60"
            let (ups, up) = AsyncStream.makeStream(of: Void.self)
            let holder = Task {
                try await Program("unshare", debianPackage: "util-linux").outcome(
                    ["--mount", "--propagation", "private", "sh", "-c", script]
                ) { line in if line == "up" { up.yield() } }
            }
            for await _ in ups { break }
            let plain = try await write(loop, isElsewhere: true)
            let outcome = try await write(loop, "--unmount", isElsewhere: true)
            holder.cancel()
            _ = try? await holder.value
            for outcome in [plain, outcome] {
                #expect(outcome.status == 77)
                #expect(outcome.errors.contains("[mounted]"), "\(outcome.errors)")
                #expect(!outcome.errors.contains("--unmount"), "it would not help: \(outcome.errors)")
            }
        }
    }
}
