// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import Model

/// Walks a layer's `configs/`: each folder before what it holds, names in the order of their bytes.
struct OverlayReader {
    /// What umask leaves to chance when a layer is checked out.
    static let chanceBits: UInt16 = 0o022

    let files: LayerFiles

    func entries() throws -> [OverlayEntry] {
        guard let status = try files.status(Self.configs) else { return [] }
        guard status.kind == .directory else {
            throw FlashlayerError(
                .badLayer,
                "\(files.path(Self.configs)) is not a folder",
                advice: status.kind == .symlink ? "links in a layer are not followed: put the folder itself there" : nil
            )
        }
        var entries: [OverlayEntry] = []
        // By device and inode, the first name of each file that has several.
        var files: [[UInt64]: OverlayEntry] = [:]
        var pending = try children(of: "")
        while let path = pending.popLast() {
            let entry = try read(path, &files)
            entries.append(entry)
            if entry.kind == .directory { pending += try children(of: path) }
        }
        return entries
    }

    private static let configs = Pathname(LayerSpellings.configs)

    /// Last first, to be taken from the end.
    private func children(of path: Pathname) throws -> [Pathname] {
        try files.names(in: Self.configs.appending(path)).reversed().map { path.appending($0) }
    }

    private func read(_ path: Pathname, _ linked: inout [[UInt64]: OverlayEntry]) throws -> OverlayEntry {
        let inLayer = Self.configs.appending(path)
        let source = files.path(inLayer)
        guard let status = try files.status(inLayer) else {
            throw FlashlayerError(.badLayer, "\(source) vanished while it was read")
        }
        switch status.kind {
        case .directory:
            let attributes = try ExtendedAttributes.read(source)
            let mode = Self.mode(status, attributes)
            return OverlayEntry(path: path, source: source, kind: .directory, mode: mode, attributes: attributes)
        case .file:
            if let first = linked[status.identity] {
                var entry = first
                entry.path = path
                entry.source = source
                entry.hardLink = first.path
                return entry
            }
            let (size, digest) = try files.digest(inLayer)
            let attributes = try ExtendedAttributes.read(source)
            let entry = OverlayEntry(
                path: path,
                source: source,
                kind: .file(size: size, digest: digest),
                mode: Self.mode(status, attributes),
                attributes: attributes
            )
            if status.links > 1 { linked[status.identity] = entry }
            return entry
        case .symlink:
            let target = try files.linkTarget(inLayer)
            return OverlayEntry(path: path, source: source, kind: .symlink(target: target), mode: 0o777)
        case .other(let what):
            throw FlashlayerError(
                .badLayer,
                "\(source) is \(what); configs/ takes files, folders and symbolic links"
            )
        }
    }

    /// With an access list, the group's bits are the list's mask and no doing of umask; see acl(5).
    private static func mode(_ status: LayerFiles.Status, _ attributes: [OverlayEntry.Attribute]) -> UInt16 {
        let hasList = attributes.contains { $0.name == ExtendedAttributes.accessList }
        return status.mode & ~(hasList ? chanceBits & 0o007 : chanceBits)
    }
}
