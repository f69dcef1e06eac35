// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
package import Layers
import Model
import Programs
import Resolution
import Synchronization

/// Whether this machine's KVM runs a guest. That /dev/kvm can be opened says little: there are machines where QEMU then
/// aborts. So a guest of five bytes is run, which takes a tenth of a second.
package struct HostAccelerator: Sendable {
    package let accelerator: Accelerator
    /// Why KVM is not used; nil when it is.
    package let reason: String?

    /// For a person, once.
    package var note: String? {
        reason.map { "KVM is not usable here (\($0)): virtual machines are emulated (TCG), about 5 times slower" }
    }

    /// Tries it, once for each process.
    package static func find() async throws -> HostAccelerator {
        if let known = known.withLock({ $0 }) { return known }
        let found = try await probe()
        known.withLock { $0 = found }
        return found
    }

    private static let known = Mutex<HostAccelerator?>(nil)

    private static func probe() async throws -> HostAccelerator {
        let device = "/dev/kvm"
        guard unsafe access(device, R_OK | W_OK) == 0 else {
            let reason =
                errno == ENOENT
                ? "there is no \(device)" : "\(device) cannot be opened: add this user to the group kvm"
            return HostAccelerator(accelerator: .tcg, reason: reason)
        }
        let folder = try TemporaryFile(contents: Data(Self.bootSector))
        defer { folder.remove() }
        let outcome = try await withTimeLimit(.seconds(20)) { [path = folder.path] in
            try await QEMU.program().outcome([
                "-accel", "kvm", "-cpu", "host", "-m", "16", "-display", "none", "-nodefaults", "-no-user-config",
                "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=1",
                "-drive", "file=\(path),format=raw,if=ide,snapshot=on",
            ])
        }
        if let outcome, outcome.status == Self.successStatus { return HostAccelerator(accelerator: .kvm, reason: nil) }
        let lines = outcome?.errors.split(separator: "\n") ?? ["it does not run a guest"]
        let said = lines.first.map(String.init) ?? "it does not run a guest"
        let words = said.split(separator: ": ").filter { $0 != "error" }.dropFirst().joined(separator: ": ")
        return HostAccelerator(accelerator: .tcg, reason: words.isEmpty ? said : words)
    }

    /// mov al, 16; out 0xf4, al; hlt: QEMU then ends with 2 * 16 + 1. See hw/misc/debugexit.c in QEMU.
    private static let bootSector: [UInt8] =
        [0xB0, 0x10, 0xE6, 0xF4, 0xF4] + [UInt8](repeating: 0, count: 505) + [0x55, 0xAA]
    private static let successStatus: Int32 = 33
}

/// QEMU's system emulator of this machine's architecture.
enum QEMU {
    static func program() throws -> Program {
        try Program("qemu-system-x86_64", debianPackage: "qemu-system-x86")
    }

    static func image() throws -> Program {
        try Program("qemu-img", debianPackage: "qemu-utils")
    }
}

/// A file below /tmp.
struct TemporaryFile {
    let path: String

    init(contents: Data) throws {
        var template = Array("/tmp/flashlayer-XXXXXX".utf8CString)
        let descriptor = unsafe template.withUnsafeMutableBufferPointer { buffer in
            guard let start = buffer.baseAddress else { return Int32(-1) }
            return unsafe mkstemp(start)
        }
        guard descriptor >= 0 else {
            throw FlashlayerError.system("make a file in /tmp", .current, code: .cannotCreate)
        }
        close(descriptor)
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        do {
            try HostFile.write(contents, to: path)
        } catch {
            remove()
            throw error
        }
    }

    func remove() {
        unsafe unlink(path)
    }
}

/// - Returns: nil when the time is over; `work` is then cancelled and has ended.
func withTimeLimit<Result: Sendable>(
    _ limit: Duration,
    _ work: @escaping @Sendable () async throws -> Result
) async throws -> Result? {
    try await withThrowingTaskGroup(of: Result?.self) { group in
        group.addTask { try await work() }
        group.addTask {
            try await Task.sleep(for: limit)
            return nil
        }
        defer { group.cancelAll() }
        return try await group.next() ?? nil
    }
}
