// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import FoundationEssentials
import Glibc
import Model
import Programs
import TestSupport
import Testing

/// What comes back after `--unmount`, and what does not.
extension RefusalTests.UnmountTests {
    @Test("a folder that is mounted by itself comes back from its file system, though that stayed mounted as a whole")
    func folderAlone() async throws {
        let loop = try await disk()
        defer { loop.close() }
        let (whole, folder) = (try place("whole"), try place("folder"))
        try await run("mount", "\(loop.path)p2", whole)
        try FileManager.default.createDirectory(atPath: whole + "/sub", withIntermediateDirectories: true)
        try await run("mount", "--bind", whole + "/sub", folder)
        try await run("mount", "-o", "remount,bind,ro", folder)
        defer { MountPoint.clear(folder, whole) }
        let before = try mounts(of: loop)
        let holder = unsafe open(whole + "/held", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        let outcome = try await write(loop, "--unmount", "--json")
        close(holder)
        #expect(outcome.errors.contains("[in-use]"), "\(outcome.errors)")
        let events = try outcome.events().filter { ["mounted", "unmounted"].contains($0["event"]?.text) }
        #expect(events.compactMap { $0["mountPoint"]?.text } == [folder, folder])
        #expect(try mounts(of: loop) == before)
    }

    @Test("mounts that lie on each other come back in the order in which they were made, each from its own disk")
    func nested() async throws {
        let loop = try await disk()
        defer { loop.close() }
        try await run("mkfs.ext4", "-q", "-F", "\(loop.path)p1")
        let (whole, folder) = (try place("whole"), try place("folder"))
        try await run("mount", "\(loop.path)p2", whole)
        try FileManager.default.createDirectory(atPath: whole + "/sub/top", withIntermediateDirectories: true)
        try await run("mount", "--bind", whole + "/sub", folder)
        // The other partition lies on the folder, and then over what the folder was taken from.
        try await run("mount", "\(loop.path)p1", folder + "/top")
        try await run("mount", "\(loop.path)p1", whole + "/sub")
        defer { MountPoint.clear(whole + "/sub", folder + "/top", folder, whole) }
        let before = try mounts(of: loop)
        let unmounting = Unmounting(of: loop.path, executable: try FlashlayerProgram.path)
        let steps = try Inventory().disk(at: loop.path).unmounting
        try unmounting.unmount(steps)
        #expect(try mounts(of: loop).isEmpty)
        #expect(unmounting.mount(steps) == [])
        #expect(try mounts(of: loop) == before)
    }

    @Test("nothing is mounted from another medium, and nothing over what was mounted meanwhile")
    func othersThere() async throws {
        let loop = try await disk()
        defer { loop.close() }
        let place = try place("one")
        try await run("mount", "\(loop.path)p2", place)
        let unmounting = Unmounting(of: loop.path, executable: try FlashlayerProgram.path)
        let steps = try Inventory().disk(at: loop.path).unmounting
        try unmounting.unmount(steps)
        try await run("mount", "-t", "tmpfs", "ours", place)
        let covered = unmounting.mount(steps)
        unsafe umount(place)
        #expect(covered.count == 1 && covered[0].contains("something else is mounted there"), "\(covered)")
        #expect(try mounts(of: loop).isEmpty)

        // The same file again: of all that is known of it only the kernel's number of the medium is another one.
        try await run("losetup", "--detach", loop.path)
        try await run("losetup", loop.path, loop.backingFile)
        _ = try? await run("partx", "--add", loop.path)
        let changed = unmounting.mount(steps)
        unsafe umount(place)
        #expect(changed.count == 1 && changed[0].contains("not the one any more"), "\(changed)")
    }

    @Test("a loop device that would go away with its last mount is refused, and says why")
    func goesAway() async throws {
        let loop = try await disk()
        defer { loop.close() }
        let place = try place("one")
        try await run("mount", "\(loop.path)p2", place)
        try await run("losetup", "--detach", loop.path)
        let outcome = try await write(loop, "--unmount")
        let plain = try await write(loop)
        let left = try mounts(of: loop)
        unsafe umount(place)
        #expect(left.count == 1)
        for outcome in [outcome, plain] {
            #expect(outcome.errors.contains("[mounted]"), "\(outcome.errors)")
            #expect(outcome.errors.contains("a loop device that goes away with it"), "\(outcome.errors)")
            #expect(!outcome.errors.contains("add --unmount"), "\(outcome.errors)")
        }
    }

    @Test("a disk that held the image already is mounted again")
    func unchanged() async throws {
        let loop = try await disk()
        defer { loop.close() }
        let place = try place("one")
        let copy = folder.file("copy.raw")
        try await run("sync")
        try await run("cp", "--sparse=always", loop.path, copy)
        try await run("mount", "-o", "ro,noload", "\(loop.path)p2", place)
        defer { MountPoint.clear(place) }
        let before = try mounts(of: loop)
        let outcome = try await write(loop, "--unmount", "--json", "--only-changed", image: copy)
        #expect(outcome.status == 0, "\(outcome.errors)")
        let events = try outcome.events()
        #expect(events.contains { $0["result"]?.text == "unchanged" }, "\(events)")
        #expect(try mounts(of: loop) == before, "\(outcome.errors)")
    }

    @Test("a mount that is gone while its file system still writes counts as unmounted, and comes back where it can")
    func slow() async throws {
        let loop = try await disk()
        defer { loop.close() }
        let place = try place("one")
        try await run("mount", "\(loop.path)p2", place)
        defer { MountPoint.clear(place) }
        let before = try mounts(of: loop)
        let real = try FlashlayerProgram.path
        // Unmounts and never says so.
        let program = folder.file("slow")
        let script = """
            #!/bin/sh
            read -r job
            case $job in *'"unmount"'*) umount '\(place)'; echo ready; exec sleep 600;; esac
            printf '%s\\n' "$job" | '\(real)' _unmount
            """
        try Data(script.utf8).write(to: URL(filePath: program))
        unsafe chmod(program, 0o700)

        var changes: [Bool] = []
        let late = Unmounting(of: loop.path, executable: program, patience: .seconds(1))
        let error = #expect(throws: FlashlayerError.self) {
            try late.unmount(try Inventory().disk(at: loop.path).unmounting, onStep: { changes.append($1) })
        }
        #expect(error?.code == .noAnswer)
        #expect(changes == [false, true], "\(String(describing: error))")
        #expect(try mounts(of: loop) == before)

        let interrupted = #expect(throws: FlashlayerError.self) {
            let steps = try Inventory().disk(at: loop.path).unmounting
            let isGone = { (try? self.mounts(of: loop).isEmpty) ?? false }
            try Unmounting(of: loop.path, executable: program).unmount(steps, isCancelled: isGone)
        }
        #expect(interrupted?.code == .interrupted)
        #expect(interrupted?.message.contains("is not mounted at \(place) any more") ?? false)
    }
}
