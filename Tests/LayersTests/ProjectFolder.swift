// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Layers
import Model
import TestSupport
import Testing

/// A project in a temporary folder, written piece by piece.
extension TemporaryFolder {
    func callAsFunction(_ relative: String) -> String { file(relative) }

    func folder(_ relative: String) throws {
        try FileManager.default.createDirectory(atPath: self(relative), withIntermediateDirectories: true)
    }

    func write(_ relative: String, _ text: String, mode: mode_t = 0o644) throws {
        try write(relative, Array(text.utf8), mode: mode)
    }

    func write(_ relative: String, _ bytes: [UInt8], mode: mode_t = 0o644) throws {
        try folder(relative.split(separator: "/").dropLast().joined(separator: "/"))
        try Data(bytes).write(to: URL(filePath: self(relative)))
        try setMode(relative, mode)
    }

    func link(_ relative: String, to target: String) throws {
        try folder(relative.split(separator: "/").dropLast().joined(separator: "/"))
        try #require(unsafe symlink(target, self(relative)) == 0)
    }

    func setMode(_ relative: String, _ mode: mode_t) throws {
        try #require(unsafe chmod(self(relative), mode) == 0)
    }

    func remove(_ relative: String) throws {
        try FileManager.default.removeItem(atPath: self(relative))
    }

    /// A layer that holds nothing but its dependencies.
    func layer(_ relative: String, needs dependencies: [String] = []) throws {
        try write("\(relative)/layer-dependencies", dependencies.joined(separator: "\n"))
    }

    func plan(layerPath: [String] = []) throws -> Plan {
        try Plan(.recipe(path: path), layerPath: layerPath)
    }
}

/// The error that `body` must end with.
func failure(_ code: ErrorCode, _ body: () throws -> Void) -> String {
    do {
        try body()
        Issue.record("expected \(code.rawValue), and nothing failed")
    } catch let error as FlashlayerError {
        #expect(error.code == code, "\(error)")
        return error.description
    } catch {
        Issue.record("not a FlashlayerError: \(error)")
    }
    return ""
}
