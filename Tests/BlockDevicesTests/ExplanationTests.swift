// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import Model
import TestSupport
import Testing

@Suite("An explanation")
struct ExplanationTests {
    private func explain(_ machine: FakeMachine, _ path: String, _ request: WriteRequest = WriteRequest()) throws
        -> Explanation
    {
        try machine.inventory().explanation(of: DiskChoice(path), for: request)
    }

    @Test("has every rule in its order, and a sentence for each, passed or not")
    func complete() throws {
        let explanation = try explain(FakeMachine.plain(), "/dev/sdb")
        #expect(explanation.findings.map(\.code) == Rule.all.map(\.code))
        #expect(explanation.findings.allSatisfy { !$0.evidence.isEmpty && $0.evidence.allSatisfy { !$0.isEmpty } })
        #expect(explanation.findings.allSatisfy { $0.verdict == .pass || $0.verdict == .notAsked })
        #expect(explanation.error == nil)
        let asked = try explain(FakeMachine.plain(), "/dev/sdb", WriteRequest(imageSize: 1, tableSectorSize: 512))
        let open = asked.findings.filter { $0.verdict == .notAsked }.map(\.code)
        #expect(open == [.inUse, .holdsSource, .changed], "another machine's disk cannot be opened")
    }

    @Test("fails exactly the rules that refuse the disk, with what was seen")
    func refused() throws {
        let machine = try FakeMachine.plain()
        let explanation = try explain(machine, "/dev/sda")
        let failed = explanation.findings.filter { $0.verdict == .fail }
        #expect(try failed.map(\.code) == machine.codes("/dev/sda"))
        #expect(failed.first?.evidence == ["/dev/sda1 mounted at / (mountinfo 22)"])
        #expect(explanation.error?.code == .systemDisk)
        #expect(explanation.error?.advice == "to overwrite this disk, start the machine from another one")
    }

    @Test("of a partition, and of its disk by a link")
    func partition() throws {
        let explanation = try explain(FakeMachine.plain(), "/dev/sdb1")
        let verdicts = explanation.findings.map(\.verdict)
        #expect(verdicts.prefix(3) == [.pass, .fail, .notAsked])
        #expect(explanation.findings[1].evidence == ["it is partition 1 of /dev/sdb"])
        #expect(explanation.error?.code == .partition && explanation.disk == nil)
    }

    @Test("of a file and of a folder", arguments: ["/etc/passwd", "/etc"])
    func file(path: String) throws {
        let explanation = try Inventory().explanation(of: DiskChoice(path), for: WriteRequest())
        #expect(explanation.findings.first?.verdict == .fail)
        #expect(explanation.findings.dropFirst().allSatisfy { $0.verdict == .notAsked })
        #expect(explanation.error?.code == .notBlockDevice)
    }

    @Test("what was allowed is told as allowed")
    func allowed() throws {
        let machine = try FakeMachine.plain()
        try machine.disk("sdc", "8:32", .sata, size: 4_000_000_000_000)
        let refused = try explain(machine, "/dev/sdc")
        #expect(refused.error?.advice == "if that is what you want, add --allow internal --allow large")
        let explanation = try explain(machine, "/dev/sdc", WriteRequest(allowed: [.internalDisk, .large]))
        #expect(explanation.findings.filter { $0.verdict == .allowed }.map(\.code) == [.internalDisk, .large])
        #expect(explanation.error == nil)
    }

    @Test("no advice names a word that lifts nothing while another rule stands")
    func advice() throws {
        let machine = try FakeMachine.plain()
        try machine.loop("loop0", "7:0", over: "/dev/sdb1")
        try machine.disk("sdc", "8:32", .sata, ["ro": "1"])
        let held = try explain(machine, "/dev/sdb")
        #expect(held.error?.advice == "detach that one first: losetup -d /dev/loop0", "the loop device, not the disk")
        let readOnly = try explain(machine, "/dev/sdc")
        #expect(readOnly.error?.advice?.contains("blockdev --setrw /dev/sdc") == true)
        #expect(readOnly.error?.advice?.contains("--allow") == false)
    }

    @Test("every rule has words for passing it and a meaning")
    func words() {
        #expect(Set(Rule.all.map(\.wellness)).count == Rule.all.count)
        for rule in Rule.all { #expect(rule.meaning?.hasSuffix(".") == true, "\(rule.code.rawValue)") }
    }
}

@Suite("docs/safety.md")
struct SafetyPageTests {
    @Test("is what the program prints of its rules: make docs")
    func same() throws {
        #expect(try Checkout.text("docs/safety.md") == Rule.page + "\n")
    }
}
