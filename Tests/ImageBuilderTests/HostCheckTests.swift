// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Programs
import TestSupport
import Testing

@testable import ImageBuilder

/// A machine that is laid out in a folder.
private struct LaidOutMachine {
    let folder: TemporaryFolder
    var userID: UInt32 = 1000

    init() throws {
        folder = try TemporaryFolder()
    }

    var view: HostView {
        HostView(
            root: folder.path,
            programFolders: [folder.file("usr/bin")],
            userID: userID,
            userName: "someone",
            environment: [:]
        )
    }

    func program(_ name: String, _ text: String = "exit 0") throws {
        try folder.write("#!/bin/sh\n\(text)\n", to: "usr/bin/\(name)", mode: 0o755)
    }

    func result(_ name: String) async throws -> HostCheckResult {
        let check = try #require(HostCheck.table.first { $0.name == name })
        return await check.result(on: view)
    }
}

@Suite("What a machine lacks")
struct HostCheckTests {
    @Test("the table has each check once, and doctor and builds read the same")
    func names() {
        let names = HostCheck.table.map(\.name)
        #expect(Set(names).count == names.count)
        #expect(names.allSatisfy { $0.allSatisfy { $0.isLowercase || $0.isNumber || "-.".contains($0) } })
    }

    @Test(
        "a program that is not there is named with the package that brings it",
        arguments: [
            ("qemu", "apt-get install qemu-system-x86", HostCheckResult.State.problem),
            ("qemu-img", "apt-get install qemu-utils", .problem),
            ("mmdebstrap", "apt-get install mmdebstrap", .problem),
            ("sfdisk", "apt-get install fdisk", .problem),
            ("mkfs.vfat", "apt-get install dosfstools", .problem),
            ("apt", "apt-get install apt", .problem),
            ("git", "apt-get install git", .note),
            ("curl", "apt-get install curl", .note),
            ("qemu-storage-daemon", "apt-get install qemu-system-common", .note),
            ("fusermount3", "apt-get install fuse3", .note),
            ("ovmf", "apt-get install ovmf", .note),
            ("kernel", "apt-get install linux-image-amd64", .problem),
        ]
    )
    func missing(name: String, remedy: String, state: HostCheckResult.State) async throws {
        let result = try await LaidOutMachine().result(name)
        #expect(result.remedy == "sudo \(remedy)", "for one who is not root")
        #expect(result.state == state)
    }

    @Test("a program that is there is shown with its place")
    func present() async throws {
        let machine = try LaidOutMachine()
        try machine.program("qemu-img")
        let result = try await machine.result("qemu-img")
        #expect(result.state == .ok)
        #expect(result.evidence == machine.folder.file("usr/bin/qemu-img"))
        #expect(result.remedy == nil)
    }

    @Test("a kernel counts with its modules only")
    func kernel() async throws {
        let machine = try LaidOutMachine()
        try machine.folder.write("", to: "boot/vmlinuz-6.1.0-9-amd64")
        let without = try await machine.result("kernel")
        #expect(without.state == .problem)
        #expect(without.evidence.contains("without the modules"))
        try machine.folder.write("", to: "lib/modules/6.1.0-9-amd64/modules.dep")
        #expect(try await machine.result("kernel").state == .ok)
    }

    @Test("io_uring that is switched off keeps from writing; left to root, it keeps others from it")
    func ring() async throws {
        var machine = try LaidOutMachine()
        for (value, user, state) in [
            ("0", 1000, HostCheckResult.State.ok), ("1", 0, .ok), ("1", 1000, .problem), ("2", 0, .problem),
        ] {
            try machine.folder.write("\(value)\n", to: "proc/sys/kernel/io_uring_disabled")
            machine.userID = UInt32(user)
            let result = try await machine.result("io-uring")
            #expect(result.state == state, "\(value) for \(user)")
            if state == .problem { #expect(result.remedy?.hasSuffix("sysctl kernel.io_uring_disabled=0") == true) }
        }
    }

    @Test("QEMU without its own network is told from one that has it")
    func network() async throws {
        let machine = try LaidOutMachine()
        try machine.program("qemu-system-x86_64", "echo socket; echo tap; echo bridge")
        #expect(try await machine.result("appliance-network").state == .problem)
        try machine.program("qemu-system-x86_64", "echo socket; echo user")
        #expect(try await machine.result("appliance-network").state == .ok)
    }

    // MARK: - Without root

    /// All that a namespace needs.
    private func ready() throws -> LaidOutMachine {
        let machine = try LaidOutMachine()
        for program in ["newuidmap", "newgidmap", "unshare"] { try machine.program(program) }
        try machine.folder.write("other:100000:65536\nsomeone:165536:65536\n", to: "etc/subuid")
        try machine.folder.write("other:100000:65536\n1000:165536:65536\n", to: "etc/subgid")
        try machine.folder.write("96365\n", to: "proc/sys/user/max_user_namespaces")
        return machine
    }

    @Test("an ordinary user with IDs of their own can bootstrap")
    func namespaces() async throws {
        #expect(try await ready().result("user-namespaces").state == .ok)
    }

    @Test("root needs none of it")
    func root() async throws {
        var machine = try LaidOutMachine()
        machine.userID = 0
        #expect(try await machine.result("user-namespaces").state == .ok)
    }

    @Test(
        "each thing that is in the way has its own command",
        arguments: [
            ("", "usr/bin/newgidmap", "apt-get install uidmap"),
            ("other:100000:65536\n", "etc/subuid", "usermod --add-subuids 231072-296607 someone"),
            ("someone:100000:1000\n", "etc/subgid", "usermod --add-subgids 231072-296607 someone"),
            ("0\n", "proc/sys/user/max_user_namespaces", "sysctl user.max_user_namespaces=10000"),
            ("0\n", "proc/sys/kernel/unprivileged_userns_clone", "sysctl kernel.unprivileged_userns_clone=1"),
            (
                "1\n", "proc/sys/kernel/apparmor_restrict_unprivileged_userns",
                "sysctl kernel.apparmor_restrict_unprivileged_userns=0"
            ),
        ]
    )
    func inTheWay(text: String, file: String, remedy: String) async throws {
        let machine = try ready()
        try FileManager.default.createDirectory(
            atPath: machine.folder.file("proc/sys/kernel"),
            withIntermediateDirectories: true
        )
        if text.isEmpty {
            try FileManager.default.removeItem(atPath: machine.folder.file(file))
        } else {
            try machine.folder.write(text, to: file)
        }
        let result = try await machine.result("user-namespaces")
        #expect(result.state == .problem)
        #expect(result.remedy == "sudo \(remedy)", "\(result.evidence)")
    }

    @Test("what no file shows is found by trying")
    func trial() async throws {
        let machine = try ready()
        try machine.program("unshare", "echo 'unshare: unshare failed: Operation not permitted' >&2; exit 1")
        let result = try await machine.result("user-namespaces")
        #expect(result.state == .problem)
        #expect(result.evidence.contains("Operation not permitted"))
    }
}
