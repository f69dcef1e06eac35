// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Digests

/// One thing under a layer's `configs/`.
package struct OverlayEntry: Codable, Sendable, Equatable {
    package enum Kind: Codable, Sendable, Equatable {
        case directory
        /// `size` in bytes.
        case file(size: UInt64, digest: Digest)
        case symlink(target: Pathname)
    }

    /// An extended attribute; see xattr(7).
    package struct Attribute: Codable, Sendable, Equatable {
        package var name: String
        package var value: [UInt8]

        package init(name: String, value: [UInt8]) {
            self.name = name
            self.value = value
        }
    }

    /// In the guest, relative to `/`, without a leading slash: `etc/motd`. Never holds `.` or `..`.
    package var path: Pathname
    /// On this machine, absolute.
    package var source: Pathname
    package var kind: Kind
    /// Permission bits as they will be in the guest: those of the file, less group and other write.
    package var mode: UInt16
    package var user: String
    package var group: String
    /// The layer's `owners` file names it: user, group and mode hold even for a folder that the guest already has. Any
    /// other folder that the guest has keeps its own.
    package var hasOwnersLine: Bool
    /// Another path, earlier in the same overlay, that is a name of the same file.
    package var hardLink: Pathname?
    package var attributes: [Attribute]

    package init(
        path: Pathname,
        source: Pathname,
        kind: Kind,
        mode: UInt16,
        user: String = "0",
        group: String = "0",
        hasOwnersLine: Bool = false,
        hardLink: Pathname? = nil,
        attributes: [Attribute] = []
    ) {
        self.path = path
        self.source = source
        self.kind = kind
        self.mode = mode
        self.user = user
        self.group = group
        self.hasOwnersLine = hasOwnersLine
        self.hardLink = hardLink
        self.attributes = attributes
    }

    /// The entry as every machine would read it.
    var withoutSource: OverlayEntry {
        var entry = self
        entry.source = ""
        return entry
    }

    /// All that makes a difference to the guest. Not JSON: there may be very many.
    var ingredient: Ingredient {
        get throws {
            var fields: [[UInt8]] = ["\(mode)", user, group, "\(hasOwnersLine)"].map { Array($0.utf8) }
            switch kind {
            case .directory: fields.append(Array("directory".utf8))
            case .file(let size, let digest): fields += [Array("file \(size)".utf8), digest.bytes]
            case .symlink(let target): fields += [Array("link".utf8), target.bytes]
            }
            if let hardLink { fields += [Array("same as".utf8), hardLink.bytes] }
            for attribute in attributes { fields += [Array(attribute.name.utf8), attribute.value] }
            // With its length in front of each, no two sets of fields give the same bytes.
            let digest = try SHA256.digest(of: fields.flatMap { Array("\($0.count) ".utf8) + $0 })
            return Ingredient("/\(path)", digest.hex)
        }
    }
}
