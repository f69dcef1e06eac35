// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
package import Layers
import Model

/// The machine that the recipe of an image asks for, found in the description beside the image.
package enum HardwareDescription {
    private struct Description: Decodable {
        let flashlayerVersion: String
        let vm: VirtualHardware?
    }

    /// - Returns: nil when no description of ours lies beside it, or one that says nothing of a machine.
    package static func hardware(of image: String) -> VirtualHardware? {
        let path = ImageOutput.stem(of: image) + ".json"
        guard let data = FileManager.default.contents(atPath: path) else { return nil }
        // Any JSON may lie beside an image.
        return (try? JSONDecoder().decode(Description.self, from: data))?.vm
    }
}
