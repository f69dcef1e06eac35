// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import FoundationEssentials
import Glibc
import Model
import Programs

/// QEMU's storage daemon, which shows an image of any format that QEMU knows as a raw, sparse file through FUSE, and
/// for reading only. See qemu-storage-daemon(1).
///
/// It ends, and the file is gone, when the last reference goes or this process dies: a shell waits for that. Works
/// without root, by fusermount3(1).
final class StorageDaemon: Sendable {
    /// The file that has the raw content.
    let path: String
    private let child: ChildProgram
    private let drain: PipeBytes

    /// $1: the file, $2: its folder, then the daemon and its arguments. The daemon ends by SIGTERM when standard input
    /// ends, and unmounts; what a killed one leaves is unmounted here.
    private static let guardian = """
        exec 3<&0; file=$1; folder=$2; shift 2
        "$@" 3<&- & daemon=$!
        { read -r _ <&3; kill "$daemon"; } 2>/dev/null & waiter=$!
        wait "$daemon"; status=$?
        kill "$waiter" 2>/dev/null
        fusermount3 -u -z "$file" 2>/dev/null
        rm -f "$file"; rmdir "$folder"
        exit "$status"
        """

    /// - Parameter size: of the raw content, in bytes: the file has it once the daemon is ready.
    /// - Throws: `unavailable`, `bad-image`.
    init(_ image: String, format: String, size: UInt64) async throws {
        let program = try Program("qemu-storage-daemon", debianPackage: "qemu-system-common")
        _ = try Program("fusermount3", debianPackage: "fuse3")
        let folder = "\(TemporaryPlace.path)/flashlayer-\(UUID().uuidString)"
        guard unsafe mkdir(folder, 0o700) == 0 else {
            throw FlashlayerError.system("make the folder \(folder)", .current, code: .cannotCreate)
        }
        let file = "\(folder)/content"
        let descriptor = unsafe open(file, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw FlashlayerError.system("make the file \(file)", .current, code: .cannotCreate)
        }
        close(descriptor)
        let node = Node(driver: format, file: .init(filename: image))
        let json = String(decoding: try JSONEncoder().encode(node), as: UTF8.self)
        path = file
        child = try ChildProgram(
            Program(at: "/bin/sh"),
            [
                "-c", Self.guardian, "sh", file, folder, program.path, "--blockdev", json,
                "--export", "type=fuse,id=content,node-name=content,mountpoint=\(file),writable=off",
            ],
            input: .held
        )
        drain = try PipeBytes(child.output, name: image)
        while true {
            var status = stat()
            if unsafe stat(file, &status) == 0, UInt64(status.st_size) == size, size > 0 { return }
            if let outcome = try child.outcome {
                let said = outcome.errors.split(separator: "\n").suffix(2).joined(separator: " ")
                throw FlashlayerError(
                    said.contains("fuse") || said.contains("mount") ? .unavailable : .badImage,
                    "\(image) cannot be read as \(format): \(said)"
                )
            }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    private struct Node: Encodable {
        struct File: Encodable {
            let driver = "file"
            let filename: String
        }

        let driver: String
        let nodeName = "content"
        let readOnly = true
        let file: File

        enum CodingKeys: String, CodingKey {
            case driver, file
            case nodeName = "node-name"
            case readOnly = "read-only"
        }
    }
}

private enum TemporaryPlace {
    static var path: String { ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp" }
}
