// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import DiskImages
import Glibc
import Model

/// The image as the user named it, and what is known of it before an engine reads it.
struct ImageChoice: Sendable {
    let reference: ImageReference
    /// `path` is what the user wrote.
    let facts: ImageFacts
    /// What must outlive the write.
    let files: [String]
    /// It is a block map, by which a disk can be verified but not written.
    let isMapAlone: Bool

    /// - Throws: `not-found`, `bad-image`, `digest-mismatch`, `unavailable`, `usage`.
    static func open(_ name: String, _ options: ImageOptions, _ console: Console) async throws -> ImageChoice {
        let reference = options.reference(name == StandardInput.name ? try StandardInput.location() : name)
        try confirmKind(of: reference.location, name, options)
        if isPipe(reference.location) { return try piped(reference, name: name, console) }
        let open = try await reference.open()
        if let map = open.blockMap, let path = open.blockMapPath { warn(of: map, path, console) }
        let found = open.source?.facts
        if name.contains("://"), found?.format == "raw", found?.size == nil, reference.sha256 == nil,
            open.published == nil
        {
            console.warn("the server does not say how long the image is: only --sha256 shows whether all of it came")
        }
        return ImageChoice(
            reference: reference,
            facts: ImageFacts(
                path: name,
                format: found?.format ?? "bmap",
                size: found?.size ?? open.blockMap?.imageSize,
                tableSectorSize: found?.tableSectorSize
            ),
            files: open.files,
            isMapAlone: open.source == nil
        )
    }

    /// What is read of a pipe is gone: only the engine opens it.
    private static func piped(_ reference: ImageReference, name: String, _ console: Console) throws -> ImageChoice {
        var map: (path: String, content: BlockMap)?
        if case .file(let path) = reference.blockMap {
            let content = try BlockMap(contentsOf: path)
            warn(of: content, path, console)
            map = (path, content)
        }
        return ImageChoice(
            reference: reference,
            facts: ImageFacts(path: name, format: "stream", size: map?.content.imageSize, tableSectorSize: nil),
            files: map.map { [$0.path] } ?? [],
            isMapAlone: false
        )
    }

    /// Two names that change places are how a good disk is lost: a disk is an image only where that is said.
    private static func confirmKind(of location: String, _ name: String, _ options: ImageOptions) throws {
        let isDevice = kind(of: location) == S_IFBLK
        guard isDevice != options.isDevice else { return }
        throw isDevice
            ? FlashlayerError(
                .usage,
                "\(name) is a disk, and no image file",
                advice: "the image comes first, then the targets; to copy this disk add --from-device"
            )
            : FlashlayerError(
                .usage,
                "--from-device copies a disk, and \(name) is none",
                advice: "leave --from-device out for an image file"
            )
    }

    private static func isPipe(_ path: String) -> Bool { kind(of: path) == S_IFIFO }

    private static func kind(of path: String) -> mode_t? {
        var status = stat()
        return unsafe stat(path, &status) == 0 ? status.st_mode & S_IFMT : nil
    }

    private static func warn(of map: BlockMap, _ path: String, _ console: Console) {
        guard let kind = map.uncheckedDigests else { return }
        console.warn("\(path) has check sums of the kind \(kind), which are not checked; sha256 would be")
    }
}
