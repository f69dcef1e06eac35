// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Layers
import Model
import Programs
import TestSupport
import Testing

@Suite("Users")
struct UserTests {
    private static func recipe(_ lines: String) -> String { "name = \"x\"\n[[user]]\nname = \"kiosk\"\n\(lines)\n" }

    @Test("every key of a user is read, and its hash is never what it is described by")
    func everyKey() throws {
        let hash = "$5$salt$" + String(repeating: "a", count: 43)
        let recipe = try Recipe(
            text: Self.recipe(
                """
                uid = 1500
                group = "staff"
                gid = 50
                groups = ["sudo", "video", "sudo"]
                home = "/srv/kiosk"
                shell = "/usr/bin/zsh"
                comment = "The kiosk"
                password = "\(hash)"
                [[user]]
                name = "root"
                password = "!"
                """
            ),
            file: "r"
        )
        let user = try #require(recipe.users.first)
        #expect(recipe.users.map(\.name) == ["kiosk", "root"])
        #expect(user.uid == 1500 && user.gid == 50 && user.group == "staff")
        #expect(user.groups == ["sudo", "video"])
        #expect(user.home == "/srv/kiosk" && user.shell == "/usr/bin/zsh" && user.comment == "The kiosk")
        #expect(user.password?.text == hash)
        #expect(recipe.users.last?.password?.isLock == true)
        #expect(!"\(user)".contains(hash))
    }

    @Test(
        "hashes that crypt(3) makes are taken",
        arguments: [
            "$6$abcdefgh$", "$6$rounds=5000$salt$", "$5$salt$", "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$",
            "$2b$05$abcdefghijklmnopqrstuu",
        ]
    )
    func hashes(salt: String) async throws {
        let perl = try Program("perl", debianPackage: "perl-base")
        let hash = try await perl.run(["-e", "print crypt(q(secret), $ARGV[0])", salt])
        let recipe = try Recipe(text: Self.recipe("password = \"\(hash)\""), file: "r")
        #expect(recipe.users.first?.password?.text == hash)
        // One that was cut off on its way would lock the user out.
        let message = failure(.badRecipe) {
            _ = try Recipe(text: Self.recipe("password = \"\(hash.dropLast())\""), file: "r")
        }
        #expect(!message.contains(hash.prefix(12)))
    }

    @Test(
        "a password that is no hash is refused at its line, with what makes one, and is not shown",
        arguments: [
            "\"hunter2-secret\"", "\"$1$abcdefgh$G//4keteveJp0qb8z2DxG/\"", "\"$6$hunter2-secret\"", "20252025", "\"\"",
            "[\"hunter2-secret\"]",
        ]
    )
    func plainPassword(value: String) {
        let message = failure(.badRecipe) { _ = try Recipe(text: Self.recipe("password = \(value)"), file: "r") }
        #expect(message.hasPrefix("r:4: 'password' must be a hash"), "\(message)")
        #expect(message.contains("openssl passwd -6"))
        #expect(!message.contains("hunter2") && !message.contains("2025") && !message.contains("G//4"))
    }

    @Test("public keys of every kind that ssh-keygen makes are taken, with and without options")
    func keys() async throws {
        let folder = try TemporaryFolder()
        let program = try Program("ssh-keygen", debianPackage: "openssh-client")
        for (kind, bits) in [("ed25519", "256"), ("rsa", "3072"), ("ecdsa", "256"), ("ecdsa", "521")] {
            let file = folder.file("\(kind)-\(bits)")
            try await program.run(["-q", "-t", kind, "-b", bits, "-N", "", "-C", "a b", "-f", file])
            let line = try String(contentsOfFile: file + ".pub", encoding: .utf8).filter { !$0.isNewline }
            for key in [line, "from=\\\"10.0.0.0/8, ::1\\\",no-pty \(line)"] {
                let recipe = try Recipe(text: Self.recipe("authorized-keys = [\"\(key)\"]"), file: "r")
                #expect(recipe.users.first?.authorizedKeys.count == 1)
            }
            let cut = line.split(separator: " ")[1].dropLast(8)
            let words = line.split(separator: " ")
            let damaged = "\(words[0]) \(cut)"
            #expect(Self.keyFault("\"\(damaged)\"").contains("is damaged"))
            let secret = try String(contentsOfFile: file, encoding: .utf8)
            let message = Self.keyFault("\"\"\"\n\(secret)\"\"\"")
            #expect(message.contains("is a private key"))
            #expect(!message.contains(secret.split(separator: "\n")[1]))
        }
    }

    private static func keyFault(_ value: String) -> String {
        failure(.badRecipe) { _ = try Recipe(text: recipe("authorized-keys = [\n\(value)]"), file: "r") }
    }

    @Test(
        "what is no key is refused at its line",
        arguments: [
            ("\"/root/.ssh/id.pub\"", "what the file holds, not its name"), ("\"hello\"", "is no public key"),
            ("\"ssh-dss AAAA\"", "no longer accepts"), ("\"ssh-ed25519 AAAA\"", "is damaged"),
            ("\"ssh-ed25519\"", "is damaged"), ("\"ssh-ed25519 AAAA\\nssh-ed25519 BBBB\"", "must be one line"),
        ]
    )
    func badKeys(value: String, complaint: String) {
        let message = Self.keyFault(value)
        #expect(message.hasPrefix("r:5: element 1 of 'authorized-keys' "), "\(message)")
        #expect(message.contains(complaint), "\(message)")
    }

    @Test(
        "each fault of a user is told with its line",
        arguments: [
            ("uid = 0", "r:4: 'uid' must be a number from 1"), ("uid = \"5\"", "r:4: 'uid' must be a number from 1"),
            ("gid = 4294967295", "r:4: 'gid' must be"), ("home = \"home\"", "r:4: 'home' must be an absolute path"),
            ("home = \"/a/../b\"", "r:4: 'home' must be"),
            ("shell = \"bash\"", "r:4: 'shell' must be the absolute path"),
            ("comment = \"a:b\"", "r:4: 'comment' must be a text without ':'"),
            ("comment = \"a\\nb\"", "r:4: 'comment' must be"),
            ("groups = [\n\"a\",\n\"b c\"]", "r:6: each string of 'groups'"),
            ("pasword = \"x\"", "r:4: unknown key 'pasword' in [[user]]: did you mean 'password'?"),
            ("hostname = \"x\"", "r:4: unknown key 'hostname' in [[user]]: it belongs in [image]"),
            ("[[user]]\nname = \"kiosk\"", "r:5: the user kiosk is there twice"),
            ("[[user]]\nuid = 5", "r:4: 'name' is missing in [[user]]"),
            ("[[user]]\nname = \"a:b\"", "r:5: 'name' must be a name of letters"),
            ("[[user]]\nname = \"root\"\nhome = \"/r\"", "r:6: 'home' cannot be set for root"),
            ("uid = 5\n[[user]]\nname = \"b\"\nuid = 5", "r:7: the users kiosk and b have the same uid 5"),
        ]
    )
    func faults(lines: String, complaint: String) {
        let message = failure(.badRecipe) { _ = try Recipe(text: Self.recipe(lines), file: "r") }
        #expect(message.contains(complaint), "\(message)")
    }

    @Test("users are part of the packages phase: of its steps, without the hash, and of its key")
    func plan() throws {
        let folder = try TemporaryFolder()
        let hash = "$5$salt$" + String(repeating: "a", count: 43)
        func phases(_ lines: String) throws -> [PlannedPhase] {
            try folder.write("flashlayer.toml", Self.recipe(lines))
            return try folder.plan().phases()
        }
        let without = try phases("")
        let with = try phases("password = \"\(hash)\"\nuid = 1500\ngroups = [\"video\"]")
        let other = try phases("password = \"\(hash.dropLast())b\"\nuid = 1500\ngroups = [\"video\"]")
        #expect(
            with[1].steps
                == ["add the user kiosk (uid 1500; in video once the packages are there; password by its hash)"]
        )
        #expect(without[0].key == with[0].key && without[1].key != with[1].key && with[1].key != other[1].key)
        #expect(!"\(with)".contains(hash))
    }

    @Test("'why' finds the recipe's line behind accounts and keys, and shows no hash")
    func why() throws {
        let folder = try TemporaryFolder()
        let hash = "$5$salt$" + String(repeating: "a", count: 43)
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKQv6KKC5zxm6/8GKG+KcbTICVQTXx/hc8YMUEe6bX/o a"
        let text = Self.recipe("password = \"\(hash)\"\n[[user]]\nname = \"b\"\nauthorized-keys = [\"\(key)\"]")
        try folder.write("flashlayer.toml", text)
        let places = try RecipePlaces(project: folder.path, variant: nil)
        let accounts = try #require(try folder.plan().explain(path: "/etc/shadow", recipe: places))
        #expect(accounts.sources.map(\.line) == [2, 5])
        #expect(!"\(accounts)".contains(hash))
        let keys = try #require(try folder.plan().explain(path: "/home/b/.ssh/authorized_keys", recipe: places))
        #expect(keys.sources.map(\.line) == [5])
        #expect(try folder.plan().explain(path: "/home/kiosk/.ssh/authorized_keys", recipe: places) == nil)
    }

    @Test("a variant's user takes the place of the recipe's")
    func variant() throws {
        let variant = "[[variant.b.user]]\nname = \"kiosk\"\nuid = 6\n[[variant.b.user]]\nname = \"c\""
        let text = Self.recipe("uid = 5\n\(variant)")
        let recipe = try Recipe(text: text, file: "r")
        #expect(recipe.users.map(\.uid) == [5])
        #expect(try recipe.selecting(variant: "b").users.map(\.uid) == [6, nil])
    }

    @Test("no hash stands in a command line")
    func steps() throws {
        let hash = "$5$salt$" + String(repeating: "a", count: 43)
        let recipe = try Recipe(text: Self.recipe("password = \"\(hash)\"\ngroups = [\"video\"]"), file: "r")
        for step in UserSteps.create(recipe.users) + UserSteps.join(recipe.users) {
            guard case .run(let command) = step else { continue }
            #expect(!command.arguments.joined().contains(hash))
        }
    }
}
