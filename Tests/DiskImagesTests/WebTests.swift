// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import Model
import TestSupport
import Testing

@testable import DiskImages

@Suite("Images on a server")
struct WebTests {
    private let folder: TemporaryFolder
    private let raw: [UInt8]

    init() async throws {
        folder = try TemporaryFolder()
        try TestImage.create(folder.file("raw"), size: (3 << 20) + 512, data: [0..<(2 << 20)])
        raw = try TestImage.bytes(of: folder.file("raw"))
        try await shell(
            "xz -0 < raw > raw.xz; gzip < raw > raw.gz; qemu-img create -q -f qcow2 q.qcow2 1M",
            in: folder.path
        )
    }

    @Test("reads as the file does, packed or not, more than once", arguments: ["raw", "raw.xz", "raw.gz", "moved/raw"])
    func intact(name: String) async throws {
        let server = try await WebServer(folder, fault: "none")
        let source = try await ImageReference(server.address + name).open().source
        #expect(source?.facts.size == (name.hasSuffix("raw") ? UInt64(raw.count) : nil))
        #expect(try await content(of: source) == raw)
        #expect(try await content(of: source) == raw)
        withExtendedLifetime(server) {}
    }

    @Test("a connection that breaks is taken up where it broke", arguments: ["raw", "raw.xz"])
    func resumed(name: String) async throws {
        let server = try await WebServer(folder, fault: "break")
        #expect(try await content(of: ImageReference(server.address + name).open().source) == raw)
        withExtendedLifetime(server) {}
    }

    @Test(
        "what breaks and cannot be taken up is an error, never a short image",
        arguments: [("break-plain", ErrorCode.badImage), ("break-change", .sourceChanged)]
    )
    func broken(fault: String, code: ErrorCode) async throws {
        let server = try await WebServer(folder, fault: fault)
        #expect(await failure(ImageReference(server.address + "raw"))?.code == code)
        withExtendedLifetime(server) {}
    }

    @Test("an answer without a length ends where the server ends it")
    func untold() async throws {
        let server = try await WebServer(folder, fault: "untold")
        let source = try await ImageReference(server.address + "raw").open().source
        #expect(source?.facts.size == nil)
        #expect(try await content(of: source) == raw)
        withExtendedLifetime(server) {}
    }

    @Test("what has to be read in any order is refused with the command that helps")
    func refused() async throws {
        let server = try await WebServer(folder, fault: "none")
        let error = await failure(ImageReference(server.address + "q.qcow2"))
        #expect(error?.code == .badImage)
        #expect(error?.advice == "download it first: curl -fLO \(server.address)q.qcow2")
    }

    @Test("what is not there is not found, and who is not there is unavailable")
    func missing() async throws {
        let server = try await WebServer(folder, fault: "none")
        #expect(await failure(ImageReference(server.address + "nothing"))?.code == .notFound)
        #expect(await failure(ImageReference("http://127.0.0.1:1/raw"))?.code == .unavailable)
        withExtendedLifetime(server) {}
    }

    @Test("a server that does not listen yet is asked again")
    func late() async throws {
        let server = try await WebServer(folder, fault: "late")
        #expect(try await content(of: ImageReference(server.address + "raw").open().source) == raw)
        withExtendedLifetime(server) {}
    }

    @Test(
        "a digest that is not there says nothing; one that a server fails to give may be there",
        arguments: [("403", nil), ("404", nil), ("410", nil), ("401", .unavailable), ("500", .unavailable)]
            as [(String, ErrorCode?)]
    )
    func noDigest(status: String, code: ErrorCode?) async throws {
        let server = try await WebServer(folder, fault: status)
        #expect(await failure(ImageReference(server.address + "raw"))?.code == code)
        // An image that is not there is always an error.
        let wanted: ErrorCode = status == "404" || status == "410" ? .notFound : .unavailable
        #expect(await failure(ImageReference(server.address + "nothing"))?.code == wanted)
        withExtendedLifetime(server) {}
    }

    @Test("the digest that lies beside it is compared", arguments: ["raw", "raw.xz"])
    func published(name: String) async throws {
        let server = try await WebServer(folder, fault: "none")
        try await shell("sha256sum -b raw raw.xz > SHA256SUMS", in: folder.path)
        for location in [server.address + name, folder.file(name)] {
            let image = try await ImageReference(location).open()
            #expect(image.published?.place.hasSuffix("/SHA256SUMS") == true)
        }
        #expect(try await content(of: ImageReference(server.address + name).open().source) == raw)
        try await shell("sha256sum raw.gz | sed 's/raw.gz/\(name)/' > \(name).sha256", in: folder.path)
        for location in [server.address + name, folder.file(name)] {
            do {
                let image = try await ImageReference(location).open()
                _ = try await content(of: image.source)
                Issue.record("\(location) passed")
            } catch {
                #expect(FlashlayerError(wrapping: error).code == .digestMismatch)
            }
        }
        withExtendedLifetime(server) {}
    }

    @Test(
        "lists of digests are read as sha256sum writes them, and say nothing of what they do not name",
        arguments: [
            "%  disk.raw", "% *disk.raw", "% *./disk.raw", "SHA256 (disk.raw) = %", "%", "%  a\n%  disk.raw\r\n",
        ]
    )
    func lists(text: String) {
        let hex = String(repeating: "ab", count: 32)
        let text = text.split(separator: "%", omittingEmptySubsequences: false).joined(separator: hex)
        #expect(PublishedDigest.digest(of: "disk.raw", in: text)?.hex == hex)
        if text != hex { #expect(PublishedDigest.digest(of: "other.raw", in: text) == nil) }
    }

    @Test("no password and no key in a query is shown")
    func names() {
        let address = WebAddress("https://user:secret@host:8080/a/disk.xz?key=secret")
        #expect(address?.name == "https://host:8080/a/disk.xz")
        #expect(address?.beside("SHA256SUMS")?.url == "https://user:secret@host:8080/a/SHA256SUMS")
        #expect(WebAddress("/a/http://b") == nil)
        #expect(WebAddress("ftp://a/b") == nil)
    }
}
