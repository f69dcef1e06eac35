// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Model
import Programs

/// What `qemu-img` says of an image. Its JSON is documented with the QAPI types ImageInfo and MapEntry.
package enum QemuImage {
    struct Info: Decodable {
        struct VMDKExtent: Decodable {
            let filename: String
        }

        struct Specific: Decodable {
            struct Details: Decodable {
                let corrupt: Bool?
                let dataFile: String?
                /// The files of a vmdk.
                let extents: [VMDKExtent]?

                enum CodingKeys: String, CodingKey {
                    case corrupt, extents
                    case dataFile = "data-file"
                }
            }

            let data: Details?
        }

        let filename: String
        let format: String
        let virtualSize: UInt64
        let encrypted: Bool?
        let dirty: Bool?
        let specific: Specific?

        enum CodingKeys: String, CodingKey {
            case filename, format, encrypted
            case virtualSize = "virtual-size"
            case dirty = "dirty-flag"
            case specific = "format-specific"
        }
    }

    struct MapEntry: Decodable {
        let start: UInt64
        let length: UInt64
        /// Which file of the backing chain holds it: 0 is the image itself.
        let depth: Int
        let zero: Bool
        let data: Bool
        /// In that file, in bytes; nil when the bytes do not stand there as they are (compressed, encrypted).
        let offset: UInt64?
    }

    /// The image and its backing files, the image itself first.
    ///
    /// - Parameter format: what it is; nil lets QEMU guess.
    static func chain(of path: String, format: String? = nil) async throws -> [Info] {
        let known = format.map { ["-f", $0] } ?? []
        return try await answer(
            ["info", "--backing-chain", "--force-share", "--output=json"] + known + [argument(path)]
        )
    }

    /// A map of many small pieces can be longer than what we take of a program at once: such an image is mapped in
    /// parts.
    ///
    /// - Parameters:
    ///   - size: of the image's content, in bytes.
    ///   - part: how much is asked for at first, in bytes; less where its map is too long.
    static func map(
        of path: String,
        size: UInt64,
        part: UInt64 = .max,
        format: String = "qcow2"
    ) async throws -> [MapEntry] {
        var entries: [MapEntry] = []
        var position: UInt64 = 0
        var part = part
        while position < size {
            let length = min(part, size - position)
            let range = ["--start-offset=\(position)", "--max-length=\(length)"]
            do {
                entries += try await answer(["map", "--output=json", "-f", format] + range + [argument(path)])
                position += length
            } catch let error as FlashlayerError where error.code == .unavailable && length > smallestPart {
                try Task.checkCancellation()
                part = (length / 4).roundedUp(to: smallestPart)
            }
        }
        return entries
    }

    /// Its map is short even if each sector of it stands alone.
    private static let smallestPart = 64 * ByteSize.mebibyte

    /// A path that `qemu-img` takes for nothing else: neither an option nor `protocol:name`.
    package static func argument(_ path: String) -> String {
        path.hasPrefix("/") ? path : "./\(path)"
    }

    private static func answer<Answer: Decodable>(_ arguments: [String]) async throws -> Answer {
        let program = try Program("qemu-img", debianPackage: "qemu-utils")
        let text = try await program.run(arguments, failure: .badImage)
        do {
            return try JSONDecoder().decode(Answer.self, from: Data(text.utf8))
        } catch {
            throw FlashlayerError(.unavailable, "qemu-img answered what is not understood: \(text.prefix(200))")
        }
    }
}
