// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import FoundationEssentials
import Layers
import Model

/// `NAME.json`: what an image is made of. The names of the properties are those of the file.
struct ImageDescription: Encodable {
    struct LayerLine: Encodable {
        let name: String
        let source: String
        let digest: Digest
    }

    let schema = 1
    let flashlayerVersion = Version.string
    let name: String
    let version: String
    /// Of the recipe and all that it names.
    let planDigest: Digest
    let base: Base
    let layers: [LayerLine]
    let format: String
    /// Bytes of raw content.
    let size: UInt64
    let rawSha256: Digest
    let imageDigest: ImageDigest
    let packages: [InstalledPackage]
    let buildLog: String
    let bootTest: BootTestSettings
    let vm: VirtualHardware

    init(plan: Plan, result: BuildResult, log: String) throws {
        name = plan.name
        version = plan.version
        planDigest = try plan.digest()
        base = plan.base
        layers = plan.layers.map { LayerLine(name: $0.name, source: $0.source, digest: $0.digest) }
        format = result.format
        size = result.size
        rawSha256 = result.rawSha256
        imageDigest = result.imageDigest
        packages = result.packages
        buildLog = log
        bootTest = plan.imageBootTest
        vm = plan.imageHardware
    }

    func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        do {
            return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
        } catch {
            throw FlashlayerError(.fault, "cannot write the image's description: \(error)")
        }
    }
}
