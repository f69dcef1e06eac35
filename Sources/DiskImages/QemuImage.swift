// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Model
import Programs

/// What `qemu-img` says of an image. Its JSON is documented with the QAPI types ImageInfo and MapEntry.
package enum QemuImage {
    struct Info: Decodable {
        struct Specific: Decodable {
            struct Details: Decodable {
                let corrupt: Bool?
                let dataFile: String?

                enum CodingKeys: String, CodingKey {
                    case corrupt
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
    static func chain(of path: String) async throws -> [Info] {
        try await answer(["info", "--backing-chain", "--force-share", "--output=json", argument(path)])
    }

    static func map(of path: String) async throws -> [MapEntry] {
        try await answer(["map", "--output=json", "-f", "qcow2", argument(path)])
    }

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
