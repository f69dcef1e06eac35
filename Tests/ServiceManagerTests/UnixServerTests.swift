// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Model
import Synchronization
import TestSupport
import Testing

@testable import ServiceManager

@Suite("Sockets of a service")
struct UnixServerTests {
    /// Says each line back in capitals, and "bye" ends it.
    private static let echo: @Sendable (UnixConnection) -> Void = { connection in
        while let line = connection.line(), line != "bye" { connection.say(line.uppercased()) }
    }

    @Test("several clients are served at once, and each is known by its user")
    func serves() throws {
        let folder = try TemporaryFolder()
        let peers = Mutex<[UnixConnection.Peer?]>([])
        let server = try UnixServer(path: folder.file("socket"), mode: 0o660) { connection in
            peers.withLock { $0.append(connection.peer) }
            Self.echo(connection)
        }
        defer { server.stop() }
        let clients = try (0..<3).map { _ in try UnixConnection(to: folder.file("socket")) }
        for (index, client) in clients.enumerated() { client.say("one \(index)\ntwo \(index)") }
        for (index, client) in clients.enumerated().reversed() {
            #expect(client.line() == "ONE \(index)")
            #expect(client.line() == "TWO \(index)")
            client.say("bye")
            #expect(client.line() == nil)
        }
        let expected = UnixConnection.Peer(processID: getpid(), userID: getuid(), groupID: getgid())
        #expect(peers.withLock { $0 } == [expected, expected, expected])
        var status = stat()
        #expect(unsafe stat(folder.file("socket"), &status) == 0 && status.st_mode & 0o777 == 0o660)
    }

    @Test("a line without an end is not waited for, and harms no other client")
    func endless() throws {
        let folder = try TemporaryFolder()
        let server = try UnixServer(path: folder.file("socket"), mode: 0o600, handler: Self.echo)
        defer { server.stop() }
        let flood = try UnixConnection(to: folder.file("socket"))
        let honest = try UnixConnection(to: folder.file("socket"))
        // No line break is ever sent: at some point the server has had enough.
        #expect(flood.write(Array(repeating: UInt8(ascii: "x"), count: 256 << 10)) == false || flood.line() == nil)
        honest.say("hello")
        #expect(honest.line() == "HELLO")
    }

    @Test("a client that comes after too many others is hung up on, until one of them goes")
    func tooMany() throws {
        let folder = try TemporaryFolder()
        let server = try UnixServer(path: folder.file("socket"), mode: 0o600, handler: Self.echo)
        defer { server.stop() }
        var clients: [UnixConnection] = []
        for _ in 0..<32 {
            let client = try UnixConnection(to: folder.file("socket"))
            client.say("a")
            #expect(client.line() == "A")
            clients.append(client)
        }
        let late = try UnixConnection(to: folder.file("socket"))
        #expect(late.line() == nil)
        clients.removeLast().hangUp()
        var answer: String?
        while answer == nil {
            let next = try UnixConnection(to: folder.file("socket"))
            next.say("b")
            answer = next.line()
        }
        #expect(answer == "B")
    }

    @Test("stopping hangs up on everybody and takes the socket away; who serves it already is left alone")
    func stops() throws {
        let folder = try TemporaryFolder()
        let server = try UnixServer(path: folder.file("socket"), mode: 0o600, handler: Self.echo)
        let client = try UnixConnection(to: folder.file("socket"))
        client.say("a")
        #expect(client.line() == "A")
        #expect(throws: FlashlayerError.self) {
            try UnixServer(path: folder.file("socket"), mode: 0o600, handler: Self.echo)
        }
        client.say("b")
        #expect(client.line() == "B")
        server.stop()
        #expect(client.line() == nil)
        #expect(throws: FlashlayerError.self) { try UnixConnection(to: folder.file("socket")) }
        var status = stat()
        #expect(unsafe stat(folder.file("socket"), &status) != 0)
    }

    @Test("a socket that a killed service left is taken over; a file that is none is not")
    func stale() throws {
        let folder = try TemporaryFolder()
        let left = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        let address = try #require(UnixAddress(folder.file("socket")))
        let bound = unsafe address.withPointer { unsafe bind(left, $0, $1) }
        #expect(bound == 0)
        close(left)
        let server = try UnixServer(path: folder.file("socket"), mode: 0o600, handler: Self.echo)
        server.stop()
        try folder.write("precious", to: "file")
        let failure = #expect(throws: FlashlayerError.self) {
            try UnixServer(path: folder.file("file"), mode: 0o600, handler: Self.echo)
        }
        #expect(failure?.code == .cannotCreate)
        #expect(try String(contentsOfFile: folder.file("file"), encoding: .utf8) == "precious")
    }
}
