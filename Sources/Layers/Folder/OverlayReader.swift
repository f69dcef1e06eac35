// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import Model

/// Walks a layer's `configs/`: each folder before what it holds, names in the order of their bytes.
struct OverlayReader {
    /// What umask leaves to chance when a layer is checked out.
    static let chanceBits: UInt16 = 0o022

    struct Result {
        var entries: [OverlayEntry] = []
        /// The lines at which private keys start, by path.
        var privateKeys: [Pathname: Int] = [:]
        /// Modes on this machine of what everybody may write to there.
        var writable: [Pathname: UInt16] = [:]
        /// By device and inode, the first name of each file that has several.
        fileprivate var linked: [[UInt64]: OverlayEntry] = [:]
    }

    let files: LayerFiles
    let findings: Findings

    func read() -> Result {
        var result = Result()
        guard let status = findings.attempt({ try files.status(Self.configs) }) ?? nil else { return result }
        guard status.kind == .directory else {
            findings.error(
                files.path(Self.configs).text,
                "not a folder",
                hint: status.kind == .symlink ? "links in a layer are not followed: put the folder itself there" : nil
            )
            return result
        }
        var pending = children(of: "")
        while let path = pending.popLast() {
            guard let entry = findings.attempt({ try read(path, &result) }) ?? nil else { continue }
            result.entries.append(entry)
            if entry.kind == .directory { pending += children(of: path) }
        }
        return result
    }

    private static let configs = Pathname(LayerSpellings.configs)

    /// Last first, to be taken from the end.
    private func children(of path: Pathname) -> [Pathname] {
        let names = findings.attempt { try files.names(in: Self.configs.appending(path)) } ?? []
        return names.reversed().map { path.appending($0) }
    }

    private func read(_ path: Pathname, _ result: inout Result) throws -> OverlayEntry? {
        let inLayer = Self.configs.appending(path)
        let source = files.path(inLayer)
        guard let status = try files.status(inLayer) else {
            throw FlashlayerError(.badLayer, "\(source) vanished while it was read")
        }
        switch status.kind {
        case .directory:
            let attributes = try ExtendedAttributes.read(source)
            let mode = Self.mode(status, attributes)
            if status.mode & 0o002 != 0 { result.writable[path] = status.mode }
            return OverlayEntry(path: path, source: source, kind: .directory, mode: mode, attributes: attributes)
        case .file:
            return try file(path, status, &result)
        case .symlink:
            let target = try files.linkTarget(inLayer)
            return OverlayEntry(path: path, source: source, kind: .symlink(target: target), mode: 0o777)
        case .other(let what):
            findings.error(source.text, "\(what); configs/ takes files, folders and symbolic links")
            return nil
        }
    }

    private func file(_ path: Pathname, _ status: LayerFiles.Status, _ result: inout Result) throws -> OverlayEntry {
        let inLayer = Self.configs.appending(path)
        let source = files.path(inLayer)
        if let first = result.linked[status.identity] {
            var entry = first
            entry.path = path
            entry.source = source
            entry.hardLink = first.path
            return entry
        }
        let (size, digest, head) = try files.digest(inLayer)
        let attributes = try ExtendedAttributes.read(source)
        let entry = OverlayEntry(
            path: path,
            source: source,
            kind: .file(size: size, digest: digest),
            mode: Self.mode(status, attributes),
            attributes: attributes
        )
        if status.links > 1 { result.linked[status.identity] = entry }
        if status.mode & 0o002 != 0 { result.writable[path] = status.mode }
        if let line = PrivateKey.line(in: head) { result.privateKeys[path] = line }
        return entry
    }

    /// With an access list, the group's bits are the list's mask and no doing of umask; see acl(5).
    private static func mode(_ status: LayerFiles.Status, _ attributes: [OverlayEntry.Attribute]) -> UInt16 {
        let hasList = attributes.contains { $0.name == ExtendedAttributes.accessList }
        return status.mode & ~(hasList ? chanceBits & 0o007 : chanceBits)
    }
}
