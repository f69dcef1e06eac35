// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Layers
import Model
import Programs
import Resolution
import TestSupport
import Testing

/// Served on loopback by Python's own web server.
@Suite("Base images from the network")
struct RemoteImageTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private func resolve(_ port: String, sha256: String? = nil, isOffline: Bool = false) async throws -> ResolvedProject
    {
        let digest = sha256.map { "sha256 = \"\($0)\"\n" } ?? ""
        try folder.write(
            "name = \"x\"\n[base]\nimage = \"http://127.0.0.1:\(port)/disk.raw\"\n\(digest)",
            to: "p/flashlayer.toml"
        )
        let resolver = ProjectResolver(cache: Cache(path: folder.file("cache")))
        return try await resolver.resolve(ProjectRequest(.recipe(path: folder.file("p")), isOffline: isOffline))
    }

    @Test("an image is fetched once, goes by its digest, and is there when nothing can be fetched")
    func fetched() async throws {
        let text = String(repeating: "disk", count: 100_000)
        try folder.write(text, to: "www/disk.raw")
        let sum = try await Program("sha256sum", debianPackage: "coreutils").run([folder.file("www/disk.raw")])
        let digest = String(sum.prefix(64))
        let server = try await WebServer(folder: folder.file("www"))
        let project = try await resolve(server.port)
        guard case .image(let path, let sha256) = project.plan.base else {
            Issue.record("the base is an image")
            return
        }
        #expect(sha256 == digest)
        #expect(try String(contentsOfFile: path, encoding: .utf8) == text)
        #expect(project.lock?.build.base?.sha256 == digest)
        try project.lock?.save()
        await server.stop()
        #expect(try await resolve(server.port, isOffline: true).plan.base == project.plan.base)
        #expect(try await resolve(server.port, sha256: digest).plan.base == project.plan.base)
    }

    @Test("a digest that the lock has for one image says nothing of another")
    func otherImage() async throws {
        try folder.write("first", to: "www/disk.raw")
        try folder.write("second", to: "www/other.raw")
        let server = try await WebServer(folder: folder.file("www"))
        let first = try await resolve(server.port)
        try first.lock?.save()
        try folder.write(
            "name = \"x\"\n[base]\nimage = \"http://127.0.0.1:\(server.port)/other.raw\"\n",
            to: "p/flashlayer.toml"
        )
        let resolver = ProjectResolver(cache: Cache(path: folder.file("cache")))
        let second = try await resolver.resolve(ProjectRequest(.recipe(path: folder.file("p"))))
        #expect(second.plan.base != first.plan.base)
        let refused = await #expect(throws: FlashlayerError.self) {
            _ = try await resolver.resolve(ProjectRequest(.recipe(path: folder.file("p")), lockUse: .require))
        }
        #expect(refused?.code == .lockDrift)
        await server.stop()
    }

    @Test("what is cut off, missing, or has another digest is told, and not kept")
    func refused() async throws {
        try folder.write("disk", to: "www/disk.raw")
        let server = try await WebServer(folder: folder.file("www"))
        let wrong = String(repeating: "0", count: 64)
        let mismatch = await #expect(throws: FlashlayerError.self) { _ = try await resolve(server.port, sha256: wrong) }
        #expect(mismatch?.code == .digestMismatch)
        try FileManager.default.removeItem(atPath: folder.file("www/disk.raw"))
        let missing = await #expect(throws: FlashlayerError.self) { _ = try await resolve(server.port) }
        #expect(missing?.code == .unavailable)
        await server.stop()
        let silent = await #expect(throws: FlashlayerError.self) { _ = try await resolve(server.port) }
        #expect(silent?.code == .unavailable)
        let left = try FileManager.default.contentsOfDirectory(atPath: folder.file("cache/images"))
        #expect(left.isEmpty, "\(left)")
    }
}

/// Serves a folder as long as it lives.
private final class WebServer: Sendable {
    let port: String
    private let task: Task<Void, any Error>

    init(folder: String) async throws {
        let code = """
            from functools import partial
            from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
            from sys import argv, stderr
            server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=argv[1]))
            print(server.server_port, file=stderr, flush=True)
            server.serve_forever()
            """
        let (ports, continuation) = AsyncStream.makeStream(of: String.self)
        let python = try Program("python3", debianPackage: "python3")
        task = Task {
            defer { continuation.finish() }
            _ = try await python.outcome(["-c", code, folder]) { line in continuation.yield(line) }
        }
        var iterator = ports.makeAsyncIterator()
        port = try #require(await iterator.next())
    }

    func stop() async {
        task.cancel()
        _ = await task.result
    }

    deinit {
        task.cancel()
    }
}
