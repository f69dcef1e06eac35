// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
package import Layers
import Model

/// What the recipe of an image asserts of it, found in the description beside the image.
package enum BootTestDescription {
    private struct Description: Decodable {
        let flashlayerVersion: String
        let bootTest: BootTestSettings?
    }

    private struct Mark: Decodable {
        let flashlayerVersion: String
    }

    /// - Returns: nil when no description of ours lies beside it, or one that asserts nothing.
    /// - Throws: `bad-image` when there is one that cannot be read: a test that overlooks it would prove too much.
    package static func settings(of image: String) throws -> BootTestSettings? {
        let path = ImageOutput.stem(of: image) + ".json"
        guard let data = FileManager.default.contents(atPath: path) else { return nil }
        // Any JSON may lie beside an image.
        guard (try? JSONDecoder().decode(Mark.self, from: data)) != nil else { return nil }
        do {
            return try JSONDecoder().decode(Description.self, from: data).bootTest
        } catch {
            throw FlashlayerError(
                .badImage,
                "the description \(path) says of the boot test what is not understood",
                advice: "build the image again, or move \(path) away to test without it"
            )
        }
    }
}
