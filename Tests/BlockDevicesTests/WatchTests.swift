// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import Synchronization
import TestSupport
import Testing

/// Counts how often each path is asked for.
private final class CountingContents: DeviceObserver {
    private let outcomes: [String: ProbeOutcome]
    private let counts = Mutex<[String: Int]>([:])

    init(_ outcomes: [String: ProbeOutcome]) {
        self.outcomes = outcomes
    }

    func count(_ path: String) -> Int { counts.withLock { $0[path] ?? 0 } }

    func contents(of paths: [String]) -> [String: ProbeOutcome] {
        counts.withLock { counts in for path in paths { counts[path, default: 0] += 1 } }
        return outcomes.filter { paths.contains($0.key) }
    }

    func loops(at paths: [String]) -> [String: LoopStatus] { [:] }

    func unseen(of folders: [String]) -> Set<String> { [] }

    func access(to paths: [String]) -> [String: ExclusiveAccess] { [:] }
}

@Suite("Looking again and again")
struct WatchTests {
    @Test("a disk that does not answer is asked once for each medium, and others again when something happened")
    func remembered() throws {
        let folder = try TemporaryFolder()
        for name in ["sda", "sdb"] {
            try folder.write("1\n", to: "sys/class/block/\(name)/diskseq")
            try folder.write("1\n", to: "sys/class/block/\(name)/size")
        }
        let source = CountingContents(["/dev/sda": .content(DiskContent()), "/dev/sdb": .notResponding])
        let contents = RememberedContents(source, tree: FileTree(root: folder.path))
        let paths = ["/dev/sda", "/dev/sdb"]
        for _ in 0..<3 {
            let found = contents.contents(of: paths)
            #expect(found == ["/dev/sda": .content(DiskContent()), "/dev/sdb": .notResponding])
        }
        #expect(paths.map(source.count) == [1, 1])
        contents.forget()
        _ = contents.contents(of: paths)
        #expect(paths.map(source.count) == [2, 1])
        try folder.write("2\n", to: "sys/class/block/sdb/diskseq")
        _ = contents.contents(of: paths)
        #expect(paths.map(source.count) == [2, 2])
    }

    @Test("between two looks each disk that differs is told once, and a swapped medium is another disk")
    func changes() throws {
        let machine = try FakeMachine.plain()
        let before = try machine.inventory().disks()
        #expect(DiskChange.between(before, before).isEmpty)
        #expect(DiskChange.between([], before).map(\.kind) == [.add, .add])

        machine.mount("8:17", "/media/x", "vfat", "/dev/sdb1")
        try machine.disk("sdc", "8:32", .usb)
        let changed = DiskChange.between(before, try machine.inventory().disks())
        #expect(changed.map(\.disk.path) == ["/dev/sdb", "/dev/sdc"])
        #expect(changed.map(\.kind) == [.change, .add])

        let now = try machine.inventory().disks()
        try machine.write("99999", "/sys/class/block/sdb/diskseq")
        let swapped = DiskChange.between(now, try machine.inventory().disks())
        #expect(swapped.map(\.kind) == [.remove, .add])
        #expect(swapped.map(\.disk.path) == ["/dev/sdb", "/dev/sdb"])
    }

    @Test("what is mounted from a disk is told in the order in which it was mounted, by its places")
    func mountPoints() throws {
        let machine = try FakeMachine.plain()
        machine.mount("8:17", "/media/b", "vfat", "/dev/sdb1")
        machine.mount("8:17", "/media/b/a", "vfat", "/dev/sdb1")
        machine.mount("8:17", "/elsewhere", "vfat", "/dev/sdb1", process: 4711)
        #expect(try machine.inventory().disk(at: "/dev/sdb").mountPoints == ["/media/b", "/media/b/a"])
    }
}
