// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Digests
import Glibc
import Model

/// The SHA-256 that a publisher laid beside an image: in `NAME.sha256`, or in the `SHA256SUMS` of its folder.
package struct PublishedDigest: Sendable, Equatable {
    package let sha256: Digest
    /// The file or URL that says it.
    package let place: String

    private static let longestFile = 4 << 20

    /// Looks beside a local file. A list that does not name it says nothing. Blocks.
    static func beside(path: String) throws -> PublishedDigest? {
        let slash = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
        let (folder, name) = (path[..<slash], String(path[slash...]))
        return try find(name: name, places: [path + ".sha256", folder + "SHA256SUMS"]) { place in
            guard unsafe access(place, F_OK) == 0 else { return nil }
            return try FileOrigin(ImageFile(place)).begin()
        } shown: {
            $0
        }
    }

    /// Looks beside a file on a server. What is not there says nothing; a server that fails is an error. Blocks.
    static func beside(_ address: WebAddress) throws -> PublishedDigest? {
        let places = [address.beside(address.fileName + ".sha256"), address.beside("SHA256SUMS")].compactMap { $0 }
        return try find(name: address.fileName, places: places) { place in
            do {
                return try WebOrigin(place, mayBeAbsent: true).begin()
            } catch let error as FlashlayerError where error.code == .notFound {
                return nil
            }
        } shown: {
            $0.name
        }
    }

    private static func find<Place>(
        name: String,
        places: [Place],
        open: (Place) throws -> (any ByteStream)?,
        shown: (Place) -> String
    ) throws -> PublishedDigest? {
        for place in places {
            guard let stream = try open(place) else { continue }
            defer { stream.cancel() }
            var bytes: [UInt8] = []
            let buffer = AlignedBuffer(count: 64 << 10)
            while bytes.count <= longestFile {
                let count = try unsafe stream.read(into: buffer.mutableBytes)
                if count == 0 { break }
                unsafe bytes.append(contentsOf: buffer.bytes[..<count])
            }
            guard bytes.count <= longestFile else { continue }
            if let digest = digest(of: name, in: String(decoding: bytes, as: UTF8.self)) {
                return PublishedDigest(sha256: digest, place: shown(place))
            }
        }
        return nil
    }

    /// Reads what sha256sum(1) writes: `HEX  NAME`, with `*` before the name of a binary file, or
    /// `SHA256 (NAME) = HEX`. A file with a digest alone is about the one that it lies beside.
    static func digest(of name: String, in text: String) -> Digest? {
        let lines = text.split { $0.isNewline }
        if lines.count == 1, let digest = Digest(hex: lines[0]) { return digest }
        for line in lines {
            if line.hasPrefix("SHA256 ("), let end = line.firstRange(of: ") = ") {
                let listed = line[line.index(line.startIndex, offsetBy: 8)..<end.lowerBound]
                if isSame(listed, name) { return Digest(hex: line[end.upperBound...]) }
                continue
            }
            guard let space = line.firstIndex(of: " "), let digest = Digest(hex: line[..<space]) else { continue }
            let listed = line[space...].dropFirst()
            guard let mark = listed.first, mark == " " || mark == "*" else { continue }
            if isSame(listed.dropFirst(), name) { return digest }
        }
        return nil
    }

    /// Lists of a folder may begin each name with `./`.
    private static func isSame(_ listed: Substring, _ name: String) -> Bool {
        listed == name || listed == "./" + name
    }
}
