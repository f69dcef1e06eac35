// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import FoundationEssentials
import Glibc
import Model
import Resolution

/// Where an output is made: a hidden folder beside it, `.NAME.part`, so that everything in it has its final name from
/// the start and gets into place by rename(2).
///
/// Whoever makes an output holds the folder, by flock(2). What a killed process left is not held: the next one to make
/// the same output removes it, with those parts that had been moved out of it but that no description names.
final class StagingFolder: Sendable {
    /// As the user named it.
    let output: String
    /// The folder that the output goes to.
    let parent: String
    let path: String
    private let name: String
    private let descriptor: Int32

    /// Names of files beside the output that are of no use unless it refers to them, one a line. No output in this folder
    /// is called so: the name is longer than its own.
    private var journal: String { file(".\(name).moved") }
    /// The folder's own mark, which it has from its first moment: hardly anybody else sets the sticky bit.
    private static let sticky: mode_t = 0o1000
    private static let mode: mode_t = sticky | 0o700

    /// Bytes that the name of an output may have, so that all of ours fit into NAME_MAX; the journal's is the longest.
    static let longestName = Int(NAME_MAX) - "..moved".utf8.count
    /// Of a vmdk in parts, whose parts are called `NAME-1f0c93ab-s001.vmdk`; there may be ten thousand.
    static let longestNameInParts = Int(NAME_MAX) - "-1f0c93ab-s0001".utf8.count

    /// - Throws: `busy` while another process makes the same output; `cannot-create`, `not-permitted`, `no-space`.
    init(beside output: String) throws {
        self.output = output
        name = output.split(separator: "/").last.map(String.init) ?? output
        parent = Self.parent(of: output)
        path = parent == "/" ? "/.\(name).part" : "\(parent)/.\(name).part"
        descriptor = try Self.hold(path, for: output)
        do {
            try recover()
        } catch {
            close(descriptor)
            throw error
        }
    }

    deinit {
        close(descriptor)
    }

    static func parent(of path: String) -> String {
        path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    private static func hold(_ path: String, for output: String) throws -> Int32 {
        while true {
            guard unsafe mkdir(path, mode) == 0 || errno == EEXIST else {
                throw FlashlayerError.system("write \(output)", .current, code: .cannotCreate)
            }
            let descriptor = unsafe open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            guard descriptor >= 0 else {
                // The one that held it has just taken it away.
                if errno == ENOENT { continue }
                throw FlashlayerError.system("use the folder \(path)", .current, code: .cannotCreate)
            }
            if flock(descriptor, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK {
                close(descriptor)
                throw FlashlayerError(
                    .busy,
                    "another flashlayer is writing \(output)",
                    advice: "wait until it is done"
                )
            }
            var held = stat()
            var named = stat()
            if unsafe fstat(descriptor, &held) == 0, unsafe lstat(path, &named) == 0, held.st_ino == named.st_ino,
                held.st_dev == named.st_dev
            {
                // Whose folder it is can put a link in its place at any time, in /tmp for one.
                if held.st_uid == geteuid() { return descriptor }
                close(descriptor)
                throw FlashlayerError(
                    .cannotCreate,
                    "\(path) is there and another user's",
                    advice: "move it away, or give the output another name"
                )
            }
            close(descriptor)
        }
    }

    /// Removes what a process left that could not clean up.
    private func recover() throws {
        var status = stat()
        let isOurs = unsafe fstat(descriptor, &status) == 0 && status.st_mode & Self.sticky != 0
        if isOurs {
            removeUnreferenced()
            for name in try names() { unsafe unlink(file(name)) }
        }
        guard try names().isEmpty else {
            throw FlashlayerError(
                .cannotCreate,
                "\(path) is there and not ours",
                advice: "move it away, or give the output another name"
            )
        }
    }

    private func names() throws -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: path)
        } catch {
            throw FlashlayerError(.cannotCreate, "cannot look into \(path)")
        }
    }

    /// Removes the folder and what is in it. What cannot be removed is left for the next one to make the same output.
    func remove() {
        removeUnreferenced()
        for name in (try? names()) ?? [] { unsafe unlink(file(name)) }
        unsafe rmdir(path)
    }

    // MARK: - Putting in place

    /// Puts one file in place.
    ///
    /// - Parameters:
    ///   - name: of the file in the folder; the output is called so, too, or differently.
    ///   - parts: further files of the folder, which the first refers to by their names; they keep them.
    ///   - mode: what may be done with the image: nobody may do more with a new output.
    ///   - replaces: an output that is there may be replaced; the new one has its owner and mode.
    /// - Throws: `cannot-create`, `no-space`. The output is then what it was.
    func putInPlace(_ name: String, parts: [String], mode: mode_t = 0o666, replaces: Bool) throws {
        var before = stat()
        let isThere = unsafe lstat(output, &before) == 0 && before.st_mode & S_IFMT == S_IFREG
        for file in [name] + parts {
            OutputOwner.adopt(self.file(file))
            try restrict(self.file(file), to: mode, asWas: isThere ? before : nil)
            try HostFile.flush(self.file(file))
        }
        // What the one before refers to is of no use once it is replaced, if nobody else can have named it so.
        let old = (VMDKDescriptor.extents(of: output) ?? []).filter(isPart)
        if !parts.isEmpty || !old.isEmpty {
            try HostFile.write((parts + old).map { $0 + "\n" }.joined(), to: journal)
            try HostFile.flush(journal)
            try HostFile.flush(path)
        }
        for part in parts {
            guard unsafe rename(file(part), beside(part)) == 0 else { throw failure }
        }
        if !parts.isEmpty { try HostFile.flush(parent) }
        try move(name, replaces: replaces)
        try HostFile.flush(parent)
        removeUnreferenced()
    }

    private func restrict(_ path: String, to mode: mode_t, asWas before: stat?) throws {
        var own = stat()
        guard unsafe stat(path, &own) == 0 else { throw failure }
        // Who is not root keeps the file as his own.
        if let before, before.st_uid != own.st_uid || before.st_gid != own.st_gid {
            _ = unsafe chown(path, before.st_uid, before.st_gid)
        }
        let allowed = before.map { $0.st_mode & 0o777 } ?? own.st_mode & mode & 0o777
        guard unsafe chmod(path, allowed) == 0 else { throw failure }
    }

    private func move(_ name: String, replaces: Bool) throws {
        if !replaces {
            if unsafe flashlayer_rename_new(file(name), output) == 0 { return }
            guard errno == EINVAL || errno == ENOSYS else {
                if errno == EEXIST {
                    throw FlashlayerError(
                        .cannotCreate,
                        "\(output) is there now, and was not when this began",
                        advice: "add --force to replace it"
                    )
                }
                throw failure
            }
            // This file system cannot do both at once.
            guard unsafe access(output, F_OK) != 0 else {
                throw FlashlayerError(.cannotCreate, "\(output) is there already", advice: "add --force to replace it")
            }
        }
        guard unsafe rename(file(name), output) == 0 else { throw failure }
    }

    private var failure: FlashlayerError { .system("write \(output)", .current, code: .cannotCreate) }

    private func beside(_ part: String) -> String { parent == "/" ? "/\(part)" : "\(parent)/\(part)" }

    // MARK: - Parts

    /// A name for files in parts that nobody has: an old description keeps its own parts until it is replaced.
    ///
    /// `kiosk.vmdk` -> `kiosk-1f0c93ab.vmdk`, whose parts are `kiosk-1f0c93ab-s001.vmdk` and so on.
    func uniqueName() -> String {
        let tag = String(UInt32.random(in: 0x1000_0000...UInt32.max), radix: 16)
        return "\(stem)-\(tag)\(name.dropFirst(stem.count))"
    }

    private var stem: String {
        guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return name }
        return String(name[..<dot])
    }

    /// Whether it is called as a part that we have made for this output.
    private func isPart(_ part: String) -> Bool {
        guard part.hasPrefix("\(stem)-"), !part.contains("/") else { return false }
        let rest = part.dropFirst(stem.count + 1)
        let tag = rest.prefix(8)
        return tag.utf8.count == 8 && tag.allSatisfy { $0.isHexDigit && !$0.isUppercase }
            && rest.dropFirst(8).hasPrefix("-s")
    }

    /// Those in the journal that the output, as it is now, does not refer to.
    private func removeUnreferenced() {
        guard let data = FileManager.default.contents(atPath: journal) else { return }
        let used = Set(VMDKDescriptor.extents(of: output) ?? [])
        for part in String(decoding: data, as: UTF8.self).split(separator: "\n").map(String.init)
        where isPart(part) && !used.contains(part) {
            unsafe unlink(beside(part))
        }
    }
}
