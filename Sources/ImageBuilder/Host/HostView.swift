// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Model
import Programs

/// What checks look at: this machine, or another one that is laid out in a folder.
package struct HostView: Sendable {
    /// Stands before every path; empty for this machine.
    private let root: String
    private let programFolders: [String]
    package let userID: UInt32
    package let userName: String
    package let environment: [String: String]

    package init(
        root: String = "",
        programFolders: [String]? = nil,
        userID: UInt32 = geteuid(),
        userName: String? = nil,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) {
        self.root = root
        self.programFolders = programFolders ?? Program.folders
        self.userID = userID
        self.userName = userName ?? Self.name(of: userID)
        self.environment = environment
    }

    package var isRoot: Bool { userID == 0 }

    func exists(_ path: String) -> Bool { unsafe access(root + path, F_OK) == 0 }

    /// - Parameter mode: see access(2).
    func permits(_ path: String, _ mode: Int32) -> Bool { unsafe access(root + path, mode) == 0 }

    /// nil: it is not there, or this user may not read it.
    func text(_ path: String) -> String? {
        FileManager.default.contents(atPath: root + path).map { String(decoding: $0, as: UTF8.self) }
    }

    /// Sorted; empty when there is no such folder.
    func names(in folder: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: root + folder)) ?? []).sorted()
    }

    /// The path of a program.
    func program(_ name: String) -> String? {
        programFolders.map { "\($0)/\(name)" }.first { Program.isExecutable($0) }
    }

    /// The first folder of a path that is there: where something that is not made yet will lie.
    func existingFolder(_ path: String) -> String {
        var path = path
        while !exists(path), let slash = path.lastIndex(of: "/"), path != "/" {
            path = slash == path.startIndex ? "/" : String(path[..<slash])
        }
        return root + path
    }

    private static func name(of user: UInt32) -> String {
        // SAFETY: the entry lives until the next call of the family on any thread; nothing else here asks, and the name is
        // copied at once. See getpwuid(3).
        unsafe getpwuid(user).map { unsafe String(cString: $0.pointee.pw_name) } ?? "\(user)"
    }
}
