// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import TOMLKit

extension RecipeReader {
    static let userKeys = RecipeSchema.user.names

    /// What root has anyway.
    private static let fixedForRoot = ["uid", "group", "gid", "groups", "home"]

    /// - Parameter table: the root, or a variant.
    func users(_ table: RecipeTable) -> [User] {
        var users: [User] = []
        for entry in table.tables("user") {
            guard let user = user(entry) else { continue }
            if users.contains(where: { $0.name == user.name }) {
                entry.fault("name", "the user \(user.name) is there twice")
            } else if let uid = user.uid, let other = users.first(where: { $0.uid == uid }) {
                entry.fault("uid", "the users \(other.name) and \(user.name) have the same uid \(uid)")
            }
            users.append(user)
        }
        return users
    }

    private func user(_ table: RecipeTable) -> User? {
        table.allow(Self.userKeys, elsewhere: Self.homes.filter { $0.value != "[[user]]" })
        let isNamed = table.table["name"] != nil
        if !isNamed { faults.add(table.line, "'name' is missing in \(table.name)") }
        let expected = "a name of letters, digits, '-', '_' and '.' that starts with a letter or '_'"
        let name = table.text("name", expected, where: Self.isAccountName)
        var user = User(name ?? "")
        user.uid = number("uid", table)
        user.gid = number("gid", table)
        user.group = table.text("group", expected, where: Self.isAccountName)
        for (index, group) in (table.strings("groups") ?? []).enumerated() {
            if Self.isAccountName(group) {
                if !user.groups.contains(group) { user.groups.append(group) }
            } else {
                fault(table, "groups", index, "each string of 'groups' is the name of one group")
            }
        }
        user.home = table.text("home", "an absolute path such as \"/home/kiosk\"", where: Self.isAccountPath)
        let shell = "the absolute path of a program such as \"/bin/bash\""
        user.shell = table.text("shell", shell, where: Self.isAccountPath)
        user.comment = table.text("comment", "a text without ':'") { !$0.contains(":") }
        user.password = password(table)
        for (index, key) in (table.strings("authorized-keys") ?? []).enumerated() {
            if let fault = AuthorizedKey.fault(of: key) {
                self.fault(table, "authorized-keys", index, "element \(index + 1) of 'authorized-keys' \(fault)")
            } else if !user.authorizedKeys.contains(key) {
                user.authorizedKeys.append(key)
            }
        }
        if name == User.root {
            for key in Self.fixedForRoot where table.table[key] != nil {
                table.fault(key, "'\(key)' cannot be set for root")
            }
        }
        return name == nil ? nil : user
    }

    private func fault(_ table: RecipeTable, _ key: String, _ index: Int, _ text: String) {
        faults.add(table.lines.line(of: table.path + [key, LineIndex.element(index)]), text)
    }

    /// 0 is root's, and -1 in 16 and in 32 bits stands for "none" in system calls.
    private func number(_ key: String, _ table: RecipeTable) -> UInt32? {
        guard let value = table.table[key] else { return nil }
        guard let number = value.int.flatMap({ UInt32(exactly: $0) }), ![0, 65535, .max].contains(number) else {
            table.fault(key, "'\(key)' must be a number from 1 to 4294967294, not \(RecipeTable.word(value))")
            return nil
        }
        return number
    }

    /// What stands there may be the password itself: no message shows it.
    private func password(_ table: RecipeTable) -> PasswordHash? {
        guard let value = table.table["password"] else { return nil }
        if let hash = value.string.flatMap({ PasswordHash($0) }) { return hash }
        table.fault(
            "password",
            "'password' must be a hash of it (which starts with $y$, $6$, $5$ or $2b$), or \"!\" for none; "
                + "this is no whole one, and so it is not shown. This makes one: openssl passwd -6"
        )
        return nil
    }

    /// As the strictest of the guests' own tools take it; see useradd(8).
    private static func isAccountName(_ text: String) -> Bool {
        guard let first = text.utf8.first, text.utf8.count <= 32 else { return false }
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        return text.isASCIIAlphanumeric(or: "_.-") && !digits.contains(first) && !text.hasPrefix("-")
            && !text.hasPrefix(".")
    }

    /// One field of passwd(5).
    private static func isAccountPath(_ text: String) -> Bool {
        text.hasPrefix("/") && text != "/" && !text.contains(":") && !text.contains("//")
            && !text.split(separator: "/").contains { $0 == "." || $0 == ".." }
    }
}
