// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import ServiceManager
import Synchronization
import TestSupport
import Testing

/// A socket as a manager or a journal listens on it.
private final class Listener: Sendable {
    let descriptor: Int32

    init(_ path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        let address = try #require(UnixAddress(path))
        let bound = unsafe address.withPointer { unsafe bind(descriptor, $0, $1) }
        try #require(bound == 0)
    }

    deinit {
        close(descriptor)
    }

    /// The next datagram; there is one.
    func next() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 65536)
        let count = unsafe recv(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
        return Array(bytes.prefix(max(0, count)))
    }

    func text() -> String { String(decoding: next(), as: UTF8.self) }
}

@Suite("Services")
struct ServiceManagerTests {
    @Test("the manager hears when a service is ready, alive and ending, at a path and in the abstract namespace")
    func notifies() throws {
        let folder = try TemporaryFolder()
        for path in [folder.file("notify"), "@flashlayer-test-\(UInt64.random(in: 0 ... .max))"] {
            let manager = try Listener(path)
            let notifier = ServiceNotifier(environment: ["NOTIFY_SOCKET": path])
            notifier.ready("8 slots, disarmed")
            notifier.status("one\nREADY=1")
            notifier.alive()
            notifier.extendStop(by: .milliseconds(2500))
            notifier.stopping("2 jobs end")
            #expect(manager.text() == "READY=1\nSTATUS=8 slots, disarmed")
            #expect(manager.text() == "STATUS=one READY=1", "a text is no command")
            #expect(manager.text() == "WATCHDOG=1")
            #expect(manager.text() == "EXTEND_TIMEOUT_USEC=2500000")
            #expect(manager.text() == "STOPPING=1\nSTATUS=2 jobs end")
        }
    }

    @Test("without a manager, or with one that is gone, nothing is told and nothing fails")
    func nobodyListens() throws {
        let folder = try TemporaryFolder()
        ServiceNotifier(environment: [:]).ready("ready")
        for path in [folder.file("none"), "relative", "", "/" + String(repeating: "x", count: 200)] {
            ServiceNotifier(environment: ["NOTIFY_SOCKET": path]).ready("ready")
        }
    }

    @Test("a manager that does not read holds nobody up")
    func fullSocket() throws {
        let folder = try TemporaryFolder()
        let manager = try Listener(folder.file("notify"))
        let notifier = ServiceNotifier(environment: ["NOTIFY_SOCKET": folder.file("notify")])
        for _ in 0..<5000 { notifier.alive() }
        #expect(manager.text() == "WATCHDOG=1")
    }

    @Test("a service is watched where the manager says so, and this process is meant")
    func watchdog() {
        #expect(Watchdog(environment: ["WATCHDOG_USEC": "30000000"])?.interval == .seconds(15))
        #expect(
            Watchdog(environment: ["WATCHDOG_USEC": "2000", "WATCHDOG_PID": "7"], processID: 7)?.limit
                == .milliseconds(2)
        )
        #expect(Watchdog(environment: ["WATCHDOG_USEC": "2000", "WATCHDOG_PID": "8"], processID: 7) == nil)
        for value in ["", "0", "-1", "soon"] { #expect(Watchdog(environment: ["WATCHDOG_USEC": value]) == nil) }
        #expect(Watchdog(environment: [:]) == nil)
    }

    @Test("sockets are taken by their names, only where they are meant for this process")
    func sockets() async throws {
        let nobody = PassedSockets(environment: ["LISTEN_PID": "1", "LISTEN_FDS": "2"], processID: 7)
        #expect(nobody.descriptors.isEmpty)
        for count in ["0", "-3", "x", "99999"] {
            let none = PassedSockets(environment: ["LISTEN_PID": "7", "LISTEN_FDS": count], processID: 7)
            #expect(none.descriptors.isEmpty)
        }
    }

    @Test("a message goes to the journal with its fields, also one with line breaks")
    func journal() throws {
        let folder = try TemporaryFolder()
        let listener = try Listener(folder.file("journal"))
        let journal = Journal(identifier: "flashlayerd", socketPath: folder.file("journal"))
        journal.write(.warning, "slot 3: pulled", ["FLASHLAYER_SLOT": "3", "FLASHLAYER_SERIAL": "a\nPRIORITY=0"])
        var expected = Array("MESSAGE=slot 3: pulled\nPRIORITY=4\nSYSLOG_IDENTIFIER=flashlayerd\n".utf8)
        expected += Array("FLASHLAYER_SERIAL\n".utf8) + [12, 0, 0, 0, 0, 0, 0, 0] + Array("a\nPRIORITY=0\n".utf8)
        expected += Array("FLASHLAYER_SLOT=3\n".utf8)
        #expect(listener.next() == expected)
    }

    @Test("where no journal listens, a message is one line with its level and its fields")
    func noJournal() throws {
        let folder = try TemporaryFolder()
        let lines = Mutex<[String]>([])
        let journal = Journal(identifier: "x", socketPath: folder.file("none")) { line in
            lines.withLock { $0.append(line) }
        }
        journal.write(.error, "one\ntwo", ["B": "2", "A": "1\n"])
        #expect(lines.withLock { $0 } == ["<3>one two A=1  B=2"])
    }
}
