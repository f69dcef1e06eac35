// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// A `[[user]]` of the recipe: somebody who is to be in the guest. What is nil is left to the guest's own useradd(8), or
/// as it is where the guest has the user already.
package struct User: Codable, Sendable, Equatable {
    package var name: String
    package var uid: UInt32?
    /// The primary group; it is made where the guest lacks it.
    package var group: String?
    /// Of the primary group.
    package var gid: UInt32?
    /// Supplementary ones, which the guest or its packages must have.
    package var groups: [String] = []
    package var home: String?
    package var shell: String?
    package var comment: String?
    package var password: PasswordHash?
    /// Lines for `~/.ssh/authorized_keys`.
    package var authorizedKeys: [String] = []

    package init(_ name: String) {
        self.name = name
    }

    package static let root = "root"
}

extension User {
    /// Where useradd(8) puts it unless the guest's own settings say otherwise; without a leading slash.
    var homeFolder: String { String((home ?? (name == Self.root ? "/root" : "/home/\(name)")).dropFirst()) }

    /// For a person: what will be done. The hash is not among it.
    var step: String {
        var parts: [String] = []
        if let uid { parts.append("uid \(uid)") }
        if group != nil || gid != nil {
            parts.append("group \(group ?? name)" + (gid.map { " with gid \($0)" } ?? ""))
        }
        if !groups.isEmpty { parts.append("in \(groups.joined(separator: ", ")) once the packages are there") }
        if let home { parts.append("home \(home)") }
        if let shell { parts.append("shell \(shell)") }
        if let password { parts.append(password.isLock ? "password locked" : "password by its hash") }
        if !authorizedKeys.isEmpty {
            parts.append("\(authorizedKeys.count) SSH \(authorizedKeys.count == 1 ? "key" : "keys")")
        }
        let verb = name == Self.root ? "set up" : "add the user"
        return "\(verb) \(name)" + (parts.isEmpty ? "" : " (\(parts.joined(separator: "; ")))")
    }
}
