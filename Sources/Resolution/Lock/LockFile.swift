// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Layers
package import Model

/// `flashlayer.lock`, beside the recipe: what a build was resolved to, so that the next one, on any machine, is the same.
package struct LockFile: Sendable, Equatable {
    package static let fileName = "flashlayer.lock"

    private struct Content: Codable, Equatable {
        /// Of this format.
        var version = 1
        /// By variant; the recipe without a variant is "default".
        var builds: [String: BuildLock] = [:]
    }

    package let path: String
    private let variant: String
    private var content: Content
    private let stored: Content?

    /// What is pinned for the variant; nothing is, at first.
    package var build: BuildLock {
        get { content.builds[variant] ?? BuildLock() }
        set { content.builds[variant] = newValue }
    }

    package var isPresent: Bool { stored != nil }

    /// - Parameters:
    ///   - folder: that of the recipe.
    ///   - variant: nil: the recipe without one.
    ///   - replacingDamaged: takes a lock that cannot be understood for none.
    /// - Throws: `bad-recipe` when there is a lock and it cannot be understood.
    package init(in folder: String, variant: String?, replacingDamaged: Bool = false) throws {
        path = folder == "/" ? "/\(Self.fileName)" : "\(folder)/\(Self.fileName)"
        self.variant = variant.map { "variant \($0)" } ?? "default"
        guard FileManager.default.fileExists(atPath: path) else {
            stored = nil
            content = Content()
            return
        }
        guard let data = FileManager.default.contents(atPath: path) else {
            throw FlashlayerError(
                .badRecipe,
                "the lock \(path.printable) cannot be read",
                advice: "it has to be a file that this user may read"
            )
        }
        do {
            let read = try Self.read(data, path)
            stored = read
            content = read
        } catch {
            guard replacingDamaged else { throw error }
            stored = nil
            content = Content()
        }
    }

    private static func read(_ data: Data, _ path: String) throws -> Content {
        struct Header: Decodable { let version: Int }
        let advice = "bring it back from version control, or make a new one: flashlayer update"
        do {
            let version = try JSONDecoder().decode(Header.self, from: data).version
            guard version == 1 else {
                throw FlashlayerError(
                    .badRecipe,
                    "\(path.printable) was written by a later flashlayer (format \(version))",
                    advice: "use that one, or make a new lock: flashlayer update"
                )
            }
            return try JSONDecoder().decode(Content.self, from: data)
        } catch let error as DecodingError {
            throw FlashlayerError(.badRecipe, "\(path.printable) is damaged: \(Self.words(error))", advice: advice)
        }
    }

    private static func words(_ error: DecodingError) -> String {
        func place(_ context: DecodingError.Context) -> String {
            let keys = context.codingPath.map { $0.intValue.map { "element \($0 + 1)" } ?? $0.stringValue }
            return keys.isEmpty ? "" : " in \(keys.joined(separator: " / "))"
        }
        switch error {
        case .dataCorrupted(let context): return context.debugDescription + place(context)
        case .keyNotFound(let key, let context): return "'\(key.stringValue)' is missing\(place(context))"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            return context.debugDescription + place(context)
        @unknown default: return "it is no JSON of ours"
        }
    }

    /// What `--locked` ends with when the packages are not those that are pinned.
    ///
    /// - Parameter reason: what does not fit.
    package static func packagesDrift(_ reason: String) -> FlashlayerError {
        FlashlayerError(
            .lockDrift,
            "\(fileName) does not fit the packages of the recipe: \(reason)",
            advice: "leave out --locked, or run flashlayer update"
        )
    }

    /// Writes it if anything of it changed.
    ///
    /// - Returns: whether it did.
    /// - Throws: `cannot-create`, `no-space`.
    @discardableResult
    package func save() throws -> Bool {
        guard content != stored else { return false }
        try Cache.makeFolder(Path.parent(of: path))
        // Meanwhile another build may have pinned another variant: one at a time reads, changes and writes.
        let folder = unsafe open(Path.parent(of: path), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        defer { if folder >= 0 { close(folder) } }
        if folder >= 0 { _ = flock(folder, LOCK_EX) }
        var content = content
        if let data = FileManager.default.contents(atPath: path), let present = try? Self.read(data, path) {
            let own = content.builds[variant]
            content = present
            content.builds[variant] = own
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let text: String
        do {
            text = String(decoding: try encoder.encode(content), as: UTF8.self) + "\n"
        } catch {
            throw FlashlayerError(.fault, "cannot write the lock: \(error)")
        }
        try HostFile.replace(path, with: text)
        return true
    }
}
