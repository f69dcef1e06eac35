// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Glibc
import Model

/// Mounts again what was unmounted: each mount when that is back which it lay on, and one that shows a folder when all
/// of its file system is shown somewhere. Nothing but what was there before is left mounted. See mount(2).
struct Remounting {
    private let steps: [MountStep]
    private let gone: Set<Int>
    /// The numbers that those have now which are back, by those that they had.
    private var back: [Int: Int] = [:]

    /// - Parameter steps: in the order in which they are tried.
    init(_ steps: [MountStep]) {
        self.steps = steps
        gone = Set(steps.map(\.id))
    }

    /// - Parameter onAnswer: called for each step, with what kept it from being mounted.
    mutating func run(_ onAnswer: (_ step: Int, _ error: String?) -> Void) {
        var pending = Array(steps.indices)
        while let next = pending.first(where: { isReady(steps[$0]) }) {
            pending.removeAll { $0 == next }
            onAnswer(next, mount(steps[next]))
        }
        for index in pending {
            let isGrounded = isGrounded(steps[index])
            onAnswer(index, isGrounded ? "its folder is shown nowhere" : "what it was mounted on is not back")
        }
    }

    private func isGrounded(_ step: MountStep) -> Bool {
        !gone.contains(step.ground.id) || back[step.ground.id] != nil
    }

    private func isReady(_ step: MountStep) -> Bool {
        isGrounded(step) && (step.isWhole || Self.folder(of: step) != nil)
    }

    /// Where the folder that a mount shows is seen now, with nothing mounted over it.
    private static func folder(of step: MountStep) -> String? {
        let view = SystemView.mountedNow
        guard let number = step.medium.number(at: step.node) else { return nil }
        return view.mounts.lazy.filter { $0.device.rawValue == number && $0.root == "/" }.compactMap { whole in
            let path = (whole.mountPoint == "/" ? "" : whole.mountPoint) + step.root
            return view.mount(holding: path, process: nil)?.id == whole.id ? path : nil
        }.first
    }

    private func isGround(_ mount: Mount, of step: MountStep) -> Bool {
        if gone.contains(step.ground.id) { return mount.id == back[step.ground.id] }
        return mount.id == step.ground.id && step.ground.number.map { $0 == mount.device.rawValue } ?? true
            && step.ground.mountPoint.map { $0 == mount.mountPoint } ?? true
    }

    /// - Returns: why not.
    private mutating func mount(_ step: MountStep) -> String? {
        let elsewhere = "the disk is not the one any more that was chosen"
        guard step.medium.isThere(at: step.node) else { return elsewhere }
        guard let ground = SystemView.mountedNow.mount(holding: step.mountPoint, process: nil),
            isGround(ground, of: step)
        else { return "something else is mounted there by now" }
        if let error = attach(step) { return error }
        // Told by what is there now, not by what was asked for: paths and media change at any time.
        guard let new = SystemView.mountedNow.mount(holding: step.mountPoint, process: nil), new.id != ground.id,
            new.parent == ground.id, new.mountPoint == step.mountPoint
        else { return "it is not there" }
        let isRight =
            new.root == step.root && new.fileSystem == step.fileSystem
            && step.medium.number(at: step.node).map { step.device == 0 || new.device.rawValue == $0 } ?? false
        let error = isRight ? adjust(step, new) : elsewhere
        guard error == nil else {
            unsafe umount2(step.mountPoint, Int32(UMOUNT_NOFOLLOW))
            return error
        }
        back[step.id] = new.id
        return nil
    }

    private func attach(_ step: MountStep) -> String? {
        guard let place = Handle(step.mountPoint) else { return "its place is not there" }
        guard step.isWhole else {
            guard let path = Self.folder(of: step), let folder = Handle(path),
                folder.device == step.medium.number(at: step.node)
            else {
                return "its folder is not there"
            }
            guard unsafe Glibc.mount(folder.path, place.path, nil, MountFlag.bind, nil) != 0 else { return nil }
            return "\(Errno.current)"
        }
        let data = step.options.filter { MountFlag.words[$0] == nil && $0 != "rw" && $0 != "seclabel" }
        let bits = MountFlag.bits(step.flags.filter { $0 != "ro" }) | MountFlag.bits(step.options)
        // Not a second time without the options: it would not be as it was.
        let text = data.joined(separator: ",")
        guard unsafe Glibc.mount(step.node, place.path, step.fileSystem, bits | step.accessTimes, text) != 0 else {
            return nil
        }
        return "\(Errno.current)"
    }

    /// Gives a mount the flags that it had, which may be others than those of its file system.
    private func adjust(_ step: MountStep, _ new: Mount) -> String? {
        guard let place = Handle(step.mountPoint) else { return "its place is not there" }
        let bits = MountFlag.bits(step.flags) | step.accessTimes | MountFlag.remount | MountFlag.bind
        guard unsafe Glibc.mount(nil, place.path, nil, bits, nil) == 0 else {
            return "its flags cannot be set: \(Errno.current)"
        }
        let kind =
            switch step.propagation {
            case .shared: MountFlag.shared
            case .private: MountFlag.private
            case .unbindable: MountFlag.unbindable
            }
        guard unsafe Glibc.mount(nil, place.path, nil, kind, nil) == 0 else {
            return "it cannot be made \(step.propagation.rawValue): \(Errno.current)"
        }
        let now = SystemView.mountedNow.mount(numbered: new.id)
        return now.map { Set($0.flags.map(String.init)) } == Set(step.flags) ? nil : "its flags are others"
    }
}

extension MountStep {
    /// mountinfo has no word for the strict way, and the kernel's default is another one.
    fileprivate var accessTimes: UInt {
        flags.contains("noatime") || flags.contains("relatime") ? 0 : MountFlag.strictAccessTimes
    }
}

/// A place that is held, so that its path cannot lead elsewhere between two calls.
private struct Handle: ~Copyable {
    private let descriptor: Int32
    /// `st_dev`.
    let device: UInt64

    /// - Parameter path: without symbolic links; nil when there is nothing, or another path leads there.
    init?(_ path: String) {
        let descriptor = unsafe open(path, flashlayer_o_path | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0, FileTree().linkText("/proc/self/fd/\(descriptor)") == path else {
            close(descriptor)
            return nil
        }
        self.descriptor = descriptor
        device = UInt64(status.st_dev)
    }

    deinit {
        close(descriptor)
    }

    var path: String { "/proc/self/fd/\(descriptor)" }
}

/// Of linux/mount.h: Swift finds each of its names twice, there and in the C library.
private enum MountFlag {
    static let remount: UInt = 32
    static let bind: UInt = 4096
    static let unbindable: UInt = 1 << 17
    static let `private`: UInt = 1 << 18
    static let shared: UInt = 1 << 20
    static let strictAccessTimes: UInt = 1 << 24

    /// As mountinfo has them.
    static let words: [String: UInt] = [
        "ro": 1, "nosuid": 2, "nodev": 4, "noexec": 8, "sync": 16, "mand": 64, "dirsync": 128, "nosymfollow": 256,
        "noatime": 1024, "nodiratime": 2048, "relatime": 1 << 21, "strictatime": strictAccessTimes, "lazytime": 1 << 25,
    ]

    static func bits(_ words: [String]) -> UInt {
        words.reduce(0) { $0 | (self.words[$1] ?? 0) }
    }
}
