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
        guard let status = try files.status(LayerSpellings.configs) else { return [] }
        guard status.kind == .directory else {
            throw FlashlayerError(
                .badLayer,
                "\(files.path(LayerSpellings.configs).printable) is not a folder",
                advice: status.kind == .symlink ? "links in a layer are not followed: put the folder itself there" : nil
            )
        }
        var entries: [OverlayEntry] = []
        var pending = try children(of: "")
        while let path = pending.popLast() {
            let entry = try read(path)
            entries.append(entry)
            if entry.kind == .directory { pending += try children(of: path) }
        }
        return entries
    }

    /// Last first, to be taken from the end.
    private func children(of path: String) throws -> [String] {
        let names = try files.names(in: inLayer(path))
        return names.reversed().map { path.isEmpty ? $0 : "\(path)/\($0)" }
    }

    private func read(_ path: String) throws -> OverlayEntry {
        let inLayer = inLayer(path)
        let source = files.path(inLayer)
        guard let status = try files.status(inLayer) else {
            throw FlashlayerError(.badLayer, "\(source.printable) vanished while it was read")
        }
        let mode = status.mode & ~Self.chanceBits
        switch status.kind {
        case .directory:
            return OverlayEntry(path: path, source: source, kind: .directory, mode: mode)
        case .file:
            let (size, digest) = try files.digest(inLayer)
            return OverlayEntry(path: path, source: source, kind: .file(size: size, digest: digest), mode: mode)
        case .symlink:
            let target = try files.linkTarget(inLayer)
            return OverlayEntry(path: path, source: source, kind: .symlink(target: target), mode: 0o777)
        case .other(let what):
            throw FlashlayerError(
                .badLayer,
                "\(source.printable) is \(what); configs/ takes files, folders and symbolic links"
            )
        }
    }

    private func inLayer(_ path: String) -> String {
        path.isEmpty ? LayerSpellings.configs : "\(LayerSpellings.configs)/\(path)"
    }
}
