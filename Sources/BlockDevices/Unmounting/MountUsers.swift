// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Glibc

/// Who uses a mounted file system, as far as /proc and sysfs tell. See proc(5).
struct MountUsers {
    /// One for each user: "process 4711 (vim) has /media/stick/a.txt open".
    let sentences: [String]

    init(of step: MountStep) {
        let tree = FileTree()
        sentences = Self.mounts(step, tree) + Self.loops(step, tree) + Self.processes(step, tree)
    }

    /// What is mounted on top of it and is not part of the same disk.
    private static func mounts(_ step: MountStep, _ tree: FileTree) -> [String] {
        let lines = tree.bytes("/proc/self/mountinfo").map { String(decoding: $0, as: UTF8.self) } ?? ""
        return lines.split(separator: "\n").compactMap { Mount(line: $0) }.filter { $0.parent == step.id }.map {
            "\($0.source.isEmpty ? $0.fileSystem : $0.source) is mounted on it at \($0.mountPoint)"
        }
    }

    private static func loops(_ step: MountStep, _ tree: FileTree) -> [String] {
        tree.names(in: "/sys/class/block").filter { $0.hasPrefix("loop") }.compactMap { name in
            guard let file = tree.text("/sys/class/block/\(name)/loop/backing_file"), lies(file, on: step) else {
                return nil
            }
            return "/dev/\(name) is a loop device over \(file)"
        }
    }

    private static func processes(_ step: MountStep, _ tree: FileTree) -> [String] {
        tree.names(in: "/proc").compactMap { Int($0) }.sorted().compactMap { process in
            let folder = "/proc/\(process)"
            guard let use = use(folder, step, tree) else { return nil }
            return "process \(process) (\(tree.text(folder + "/comm") ?? "?")) \(use)"
        }
    }

    private static func use(_ folder: String, _ step: MountStep, _ tree: FileTree) -> String? {
        let link = { (name: String) -> String? in
            lies(folder + name, on: step) ? tree.linkText(folder + name) ?? step.mountPoint : nil
        }
        if let path = link("/cwd") { return "works in \(path)" }
        if let path = link("/root") { return "has its root in \(path)" }
        if let path = link("/exe") { return "runs from \(path)" }
        for number in tree.names(in: folder + "/fd") {
            if let path = link("/fd/" + number) { return "has \(path) open" }
        }
        // Mapped files may be closed: only this list has them.
        let maps = tree.bytes(folder + "/maps").map { String(decoding: $0, as: UTF8.self) } ?? ""
        for line in maps.split(separator: "\n") {
            let fields = line.split(separator: " ", maxSplits: 5)
            guard fields.count == 6, let start = fields[5].firstIndex(of: "/") else { continue }
            let path = String(fields[5][start...])
            if isNamed(fields[3], step) || (step.device == 0 && isBelow(path, step)) { return "has mapped \(path)" }
        }
        return nil
    }

    /// Whether the file that a path leads to is on it. A file system with many numbers is known by its place.
    private static func lies(_ path: String, on step: MountStep) -> Bool {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return false }
        guard step.device == 0 else { return status.st_dev == step.device }
        return isBelow(FileTree().linkText(path) ?? path, step)
    }

    private static func isBelow(_ path: String, _ step: MountStep) -> Bool {
        path == step.mountPoint || path.hasPrefix(step.mountPoint + "/")
    }

    /// `08:11`: major and minor in hexadecimal.
    private static func isNamed(_ field: Substring, _ step: MountStep) -> Bool {
        let parts = field.split(separator: ":").compactMap { UInt32($0, radix: 16) }
        return parts.count == 2 && step.device != 0
            && DeviceNumber(major: parts[0], minor: parts[1]).rawValue == step.device
    }
}
