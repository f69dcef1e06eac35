// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import Programs
import TestSupport
import Testing

/// Kernels without io_uring, and containers that forbid it.
@Suite("Writing without io_uring", .enabled(if: LoopDevice.isAvailable, "\(LoopDevice.requirement)"))
struct WithoutRingTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    /// Becomes a program that may not make a ring: a filter answers EPERM, as a container's does. See seccomp(2).
    private static let launcher = """
        import ctypes, os, struct, sys
        libc = ctypes.CDLL(None, use_errno=True)
        # io_uring_setup is 425 on every architecture.
        code = [(0x20, 0, 0, 0), (0x15, 0, 1, 425), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)]
        filters = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
        program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(code), ctypes.addressof(filters)))
        assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0
        os.execv(sys.argv[1], sys.argv[1:])
        """

    private func run(_ arguments: [String]) async throws -> Program.Outcome {
        try await Program("python3", debianPackage: "python3")
            .outcome(["-c", Self.launcher, try FlashlayerProgram.path] + arguments)
    }

    @Test("every byte arrives and is proved, and one that does not is found")
    func guarantees() async throws {
        let image = folder.file("image.raw")
        try TestImage.create(image, size: (40 << 20) + 512, data: [0..<(9 << 20), (30 << 20)..<((40 << 20) + 512)])
        let loop = try LoopDevice(size: 64 << 20, fill: 0xAA)
        defer { loop.close() }
        let outcome = try await run(["write", image, loop.path, "--allow", "virtual", "--yes", "--json"])
        #expect(outcome.status == 0, "\(outcome.errors)")
        let cmp = try await Program("cmp", debianPackage: "diffutils")
            .outcome(["-n", "\((40 << 20) + 512)", image, loop.path])
        #expect(cmp.status == 0, "\(cmp.output)")

        try await Program("dd", debianPackage: "coreutils").run([
            "if=/dev/urandom", "of=\(loop.path)", "bs=512", "count=1", "seek=70000", "conv=notrunc", "status=none",
        ])
        let verify = try await run(["verify", image, loop.path, "--json"])
        #expect(verify.status == 74)
        let finished = try verify.events().first { $0["event"]?.text == "finished" }
        #expect(finished?["error"]?["offset"]?.number == Double(70000 * 512))
    }

    @Test("a device that hangs ends within its time limit here as well")
    func hang() async throws {
        guard FaultyDevice.isAvailable else { return }
        let image = folder.file("image.raw")
        try TestImage.create(image, size: 48 << 20, data: [0..<(48 << 20)])
        let device = try await FaultyDevice(size: 64 << 20, faults: [.hang(on: .write).after(20 << 20)])
        defer { device.close() }
        let arguments = ["write", image, device.path, "--allow", "virtual", "--yes", "--timeout", "2"]
        let running = Task { try await run(arguments) }
        // Counted from the hang on: what came before depends on what else the machine does.
        for _ in 0..<6000 where device.counters.faults == 0 { try await Task.sleep(for: .milliseconds(100)) }
        let start = ContinuousClock.now
        let outcome = try await running.value
        #expect(outcome.status == 74, "\(outcome.errors)")
        #expect(ContinuousClock.now - start < .seconds(600), "the time limit is two seconds")
    }
}
