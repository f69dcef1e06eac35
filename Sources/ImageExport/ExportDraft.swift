// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Digests
import FoundationEssentials
import Glibc
import Layers
import Model
import Resolution

/// A file of an export, as it is reported.
package struct ExportedFile: Codable, Sendable, Equatable {
    /// Relative to the folder.
    package let path: String
    /// Bytes.
    package let size: UInt64
    package let sha256: String
}

/// A folder that an export leaves. It is made beside its place under another name, and put there whole; one that is not
/// committed leaves nothing.
///
/// Nothing in it is left to chance: the same content gives the same files, with the same modes and times.
package final class ExportDraft {
    static let sums = "SHA256SUMS"

    /// Where it will be.
    let destination: String
    /// Where it is now, absolute.
    let folder: String
    private(set) var files: [ExportedFile] = []
    private var taken: Set<String> = [ExportDraft.sums]
    private var isPutInPlace = false

    /// - Parameter replaces: an earlier export that is there may be replaced, and nothing else.
    /// - Throws: `cannot-create`, `no-space`, `not-permitted`.
    init(at path: String, replaces: Bool) throws {
        let destination = Path.absolute(path)
        guard destination != "/" else { throw FlashlayerError(.cannotCreate, "an export does not replace '/'") }
        self.destination = destination
        let part = ".\(Path.name(of: destination)).part-"
        folder = "\(Path.parent(of: destination))/\(part)\(getpid())"
        try Self.confirm(destination, replaces: replaces)
        Self.removeLeftovers(named: part, in: Path.parent(of: destination))
        try Self.make(folder)
    }

    deinit {
        if !isPutInPlace { try? FileManager.default.removeItem(atPath: folder) }
    }

    // MARK: - Content

    /// - Parameter mode: what it may be used for: 0o644, 0o755, or 0o600 for what others must not read.
    func add(_ text: String, at path: String, mode: UInt16 = 0o644) throws {
        try prepare(path)
        try HostFile.write(text, to: "\(folder)/\(path)", mode: UInt32(mode))
        try settle(path, mode: mode)
    }

    /// The copy of a file of this machine.
    ///
    /// - Parameter digest: what it was when the layers were read; nil: whatever it is.
    /// - Throws: `bad-layer` when it was changed since.
    func copy(_ hostPath: String, expecting digest: Digest?, at path: String, mode: UInt16) throws {
        guard let data = FileManager.default.contents(atPath: hostPath) else {
            throw FlashlayerError.system("read \(hostPath.printable)", .current, code: .badLayer)
        }
        if let digest, try SHA256.digest(of: Array(data)) != digest {
            throw FlashlayerError(
                .badLayer,
                "\(hostPath.printable) was changed while it was exported",
                advice: "leave the layers alone meanwhile, and do it again"
            )
        }
        try prepare(path)
        try HostFile.write(data, to: "\(folder)/\(path)", mode: UInt32(mode))
        try settle(path, mode: mode)
    }

    /// Takes a file in that was made in the folder by other means.
    func adopt(_ path: String, mode: UInt16) throws {
        taken.insert(path)
        try settle(path, mode: mode)
    }

    /// The name itself, or one like it that is not taken. Only letters, digits, '.', '_' and '-' stay what they are, so
    /// that no name is ever a word of a shell, of a list or of a template.
    func unused(_ name: String, in subfolder: String) -> String {
        let plain = Self.plain(name)
        var path = "\(subfolder)/\(plain)"
        var number = 1
        while taken.contains(path) {
            number += 1
            path = "\(subfolder)/\(number)-\(plain)"
        }
        return path
    }

    static func plain(_ name: String) -> String {
        let text = String(
            String.UnicodeScalarView(
                name.unicodeScalars.map { scalar in
                    let isPlain =
                        scalar.isASCII
                        && (scalar.properties.isAlphabetic || "0123456789._-".contains(Character(scalar)))
                    return isPlain ? scalar : "_"
                }
            )
        )
        return text.hasPrefix(".") || text.hasPrefix("-") || text.isEmpty ? "_\(text)" : text
    }

    func sha256(of path: String) -> String? { files.first { $0.path == path }?.sha256 }

    /// The list of all files, as sha256sum(1) checks it.
    func addSums() throws {
        let lines = files.sorted { $0.path.utf8.lexicographicallyPrecedes($1.path.utf8) }
            .map { "\($0.sha256)  \($0.path)\n" }
        try add(lines.joined(), at: Self.sums)
    }

    private func prepare(_ path: String) throws {
        taken.insert(path)
        var parent = folder
        for part in path.split(separator: "/").dropLast() {
            parent += "/\(part)"
            if !FileManager.default.fileExists(atPath: parent) { try Self.make(parent) }
        }
    }

    private func settle(_ path: String, mode: UInt16) throws {
        let place = "\(folder)/\(path)"
        // Whatever the umask left of it.
        guard unsafe chmod(place, mode_t(mode)) == 0 else {
            throw FlashlayerError.system("write \(place)", .current, code: .cannotCreate)
        }
        var status = stat()
        guard unsafe lstat(place, &status) == 0 else {
            throw FlashlayerError.system("write \(place)", .current, code: .cannotCreate)
        }
        let digest = try SHA256.digest(ofFile: place)
        files.append(ExportedFile(path: path, size: UInt64(status.st_size), sha256: digest.hex))
        Self.setTime(place)
        OutputOwner.adopt(place)
    }

    private static func setTime(_ path: String) {
        let time = timespec(tv_sec: SourceDate.seconds, tv_nsec: 0)
        // A time that cannot be set changes nothing about the content.
        _ = unsafe [time, time].withUnsafeBufferPointer { times in
            unsafe utimensat(AT_FDCWD, path, times.baseAddress, AT_SYMLINK_NOFOLLOW)
        }
    }

    private static func make(_ path: String) throws {
        guard unsafe mkdir(path, 0o755) == 0 else {
            throw FlashlayerError.system("make the folder \(path.printable)", .current, code: .cannotCreate)
        }
        _ = unsafe chmod(path, 0o755)
        OutputOwner.adopt(path)
    }

    // MARK: - Its place

    /// Puts the folder where it belongs. What was there is gone afterwards, or all is as it was.
    func commit() throws {
        for part in try FileManager.default.subpathsOfDirectory(atPath: folder) {
            var isFolder = false
            let place = "\(folder)/\(part)"
            if FileManager.default.fileExists(atPath: place, isDirectory: &isFolder), isFolder { Self.setTime(place) }
            try HostFile.flush(place)
        }
        Self.setTime(folder)
        try HostFile.flush(folder)
        var status = stat()
        // In one step, so that whoever is killed at any moment leaves the old one or the new one.
        let isThere = unsafe lstat(destination, &status) == 0
        let result = unsafe isThere ? flashlayer_rename_exchange(folder, destination) : rename(folder, destination)
        guard result == 0 else {
            guard isThere, errno == EINVAL || errno == ENOSYS else { throw failure }
            return try commitInSteps()
        }
        try? HostFile.flush(Path.parent(of: destination))
        // The old one has the draft's name now, and goes with it.
        isPutInPlace = !isThere
    }

    /// For a file system on which two names cannot change places.
    private func commitInSteps() throws {
        let old = "\(folder).old"
        guard unsafe rename(destination, old) == 0 else { throw failure }
        guard unsafe rename(folder, destination) == 0 else {
            let error = failure
            _ = unsafe rename(old, destination)
            throw error
        }
        isPutInPlace = true
        try? HostFile.flush(Path.parent(of: destination))
        try? FileManager.default.removeItem(atPath: old)
    }

    /// What processes left that were killed. An `.old` may be all that is left of an export: it stays.
    private static func removeLeftovers(named prefix: String, in parent: String) {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: parent)) ?? [] where name.hasPrefix(prefix) {
            var status = stat()
            let path = "\(parent)/\(name)"
            guard let process = Int32(name.dropFirst(prefix.count)), kill(process, 0) != 0, errno == ESRCH,
                unsafe lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, status.st_uid == geteuid()
            else { continue }
            try? FileManager.default.removeItem(atPath: path)
        }
    }

    private var failure: FlashlayerError {
        .system("write \(destination.printable)", .current, code: .cannotCreate)
    }

    /// Whether an export may be put there. A slip of the finger may name a home.
    ///
    /// - Parameter replaces: an earlier export that is there may be replaced, and nothing else.
    /// - Throws: `cannot-create`, `not-permitted`.
    package static func confirm(_ path: String, replaces: Bool) throws {
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else {
            let parent = Path.parent(of: path)
            guard unsafe access(parent, W_OK | X_OK) == 0 else {
                throw FlashlayerError.system("write \(path.printable)", .current, code: .cannotCreate)
            }
            return
        }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw FlashlayerError(
                .cannotCreate,
                "\(path.printable) is there and is no folder",
                advice: "name another folder"
            )
        }
        let present: [String]
        do {
            present = try FileManager.default.contentsOfDirectory(atPath: path).sorted()
        } catch {
            throw FlashlayerError.system("read the folder \(path.printable)", .current, code: .cannotCreate)
        }
        guard let first = present.first else { return }
        guard replaces else {
            throw FlashlayerError(
                .cannotCreate,
                "the folder \(path.printable) is not empty: it holds \(first.printable)",
                advice: "name another folder; or --force, which replaces an earlier export"
            )
        }
        if let stranger = stranger(in: path) {
            throw FlashlayerError(
                .cannotCreate,
                "the folder \(path.printable) holds \(stranger.printable), which no export has put there",
                advice: "move it away, or name another folder: --force replaces nothing but an earlier export"
            )
        }
    }

    /// The first file that is not as an export has left it. Others keep lists of that name as well: one of ours has the
    /// script or the template that an export is made for.
    private static func stranger(in path: String) -> String? {
        let list = FileManager.default.contents(atPath: "\(path)/\(sums)") ?? Data()
        let lines = String(decoding: list, as: UTF8.self).split(separator: "\n")
        let known = Dictionary(lines.map { (String($0.dropFirst(66)), $0.prefix(64)) }, uniquingKeysWith: { $1 })
        guard let parts = try? FileManager.default.subpathsOfDirectory(atPath: path) else { return sums }
        guard known["README.md"] != nil, known.keys.contains(where: { $0 == "install.sh" || $0.hasSuffix(".pkr.hcl") })
        else { return parts.sorted().first }
        return parts.sorted().first { part in
            var status = stat()
            guard unsafe lstat("\(path)/\(part)", &status) == 0 else { return true }
            guard status.st_mode & S_IFMT != S_IFDIR, part != sums else { return false }
            guard status.st_mode & S_IFMT == S_IFREG, let sum = known[part] else { return true }
            return (try? SHA256.digest(ofFile: "\(path)/\(part)").hex) != String(sum)
        }
    }
}
