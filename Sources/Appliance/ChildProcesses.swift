// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc

/// The processes that libguestfs started for us. All children of this worker are: QEMU, and the helper that ends QEMU
/// should this worker die.
enum ChildProcesses {
    /// QEMU must not go on writing to a disk that is about to be removed, so it is not asked: it is ended.
    static func kill() {
        let me = getpid()
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        for process in entries.compactMap(Int32.init) where parent(of: process) == me {
            Glibc.kill(process, SIGKILL)
        }
    }

    /// From the fourth field of /proc/PID/stat, counted behind the name, which may hold anything; see proc(5).
    private static func parent(of process: Int32) -> Int32? {
        guard let data = FileManager.default.contents(atPath: "/proc/\(process)/stat") else { return nil }
        let text = String(decoding: data, as: UTF8.self)
        guard let nameEnd = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: nameEnd)...].split(separator: " ")
        return fields.count > 1 ? Int32(fields[1]) : nil
    }
}
