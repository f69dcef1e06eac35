// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import FoundationEssentials
import Model

/// The digest of a value: SHA-256 of its JSON with sorted keys and nothing in it that is left to chance.
enum CanonicalDigest {
    static func of(_ value: some Encodable) throws -> Digest {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return try SHA256.digest(of: Array(try encoder.encode(value)))
        } catch let error as EncodingError {
            throw FlashlayerError(.fault, "cannot encode the plan: \(error)")
        }
    }
}
