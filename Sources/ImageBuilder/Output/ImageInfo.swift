// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Model
import Programs

/// What `qemu-img info` says of an image of ours.
struct ImageInfo: Decodable {
    /// Bytes.
    let virtualSize: UInt64

    enum CodingKeys: String, CodingKey {
        case virtualSize = "virtual-size"
    }

    static func of(_ path: String, format: String) async throws -> ImageInfo {
        let text = try await QEMU.image().run(["info", "--output=json", "-f", format, path])
        do {
            return try JSONDecoder().decode(ImageInfo.self, from: Data(text.utf8))
        } catch {
            throw FlashlayerError(.unavailable, "qemu-img answered what is not understood: \(text.prefix(200))")
        }
    }
}
