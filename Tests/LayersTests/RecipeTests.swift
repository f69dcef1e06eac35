// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Layers
import Model
import Testing

@Suite("Recipes")
struct RecipeTests {
    @Test("every key of the recipe is read")
    func fullRecipe() throws {
        let recipe = try Recipe(
            text: """
                name = "kiosk"
                version = "1.0.0"

                [base]
                bootstrap = { distribution = "debian", suite = "trixie", mirror = "http://deb.example/debian" }

                [image]
                size = "2G"
                firmware = ["uefi"]
                hostname = "kiosk.example"
                timezone = "Europe/Berlin"
                locale = "C.UTF-8"
                kernel-arguments = ["console=ttyS0", "quiet"]
                python = "system"
                grow = false
                network = false

                [packages]
                recommends = false

                [[layer]]
                type = "local"
                path = "layers/kiosk"

                [[layer]]
                type = "git"
                url = "https://git.example/os-ubuntu.git"
                branch_or_tag = "main"
                """,
            file: "flashlayer.toml"
        )
        #expect(recipe.name == "kiosk")
        #expect(recipe.version == "1.0.0")
        #expect(
            recipe.base
                == .bootstrap(distribution: "debian", suite: "trixie", mirror: "http://deb.example/debian")
        )
        #expect(recipe.image.size == 2 << 30)
        #expect(recipe.image.firmware == [.uefi])
        #expect(recipe.image.hostname == "kiosk.example")
        #expect(recipe.image.timezone == "Europe/Berlin")
        #expect(recipe.image.locale == "C.UTF-8")
        #expect(recipe.image.kernelArguments == ["console=ttyS0", "quiet"])
        #expect(recipe.image.python == .system)
        #expect(!recipe.image.grow)
        #expect(!recipe.image.network)
        #expect(recipe.recommends == false)
        #expect(recipe.layers.map(\.line) == [21, 25])
        #expect(recipe.layers.first?.origin == .local(path: "layers/kiosk"))
        #expect(
            recipe.layers.last?.origin == .git(url: "https://git.example/os-ubuntu.git", branchOrTag: "main")
        )
    }

    @Test("a recipe with nothing but a name gets the defaults")
    func defaults() throws {
        let recipe = try Recipe(text: "name = \"x\"", file: "r")
        #expect(recipe.base == .bootstrap(distribution: "debian", suite: "bookworm", mirror: nil))
        #expect(recipe.image == ImageSettings())
        #expect(recipe.image.firmware == [.bios, .uefi])
        #expect(recipe.recommends == nil)
        #expect(recipe.layers.isEmpty)
    }

    @Test(
        "recipes written for osconfiglib load as they are",
        arguments: [
            "[layers]\n[[layer]]\ntype = \"git\"\nurl = \"https://g/a.git\"\nbranch_or_tag = \"main\"\n",
            "[[layers]]\nname = \"a\"\ntype = \"git\"\nurl = \"https://g/a.git\"\nbranch_or_tag = \"main\"\n",
            "[layers]\r\n[[layer]]\r\ntype = \"git\"\r\nurl = \"https://g/a.git\"\r\nbranch_or_tag = \"main\"\r\n",
        ]
    )
    func osconfiglib(layers: String) throws {
        let recipe = try Recipe(
            text: "name = \"Ubuntu-Python-Dev\"\nversion = \"1.0.0\"\n" + layers
                + "[[\(layers.contains("[[layers]]") ? "layers" : "layer")]]\ntype = \"local\"\nname = \"mine\"\n",
            file: "r"
        )
        #expect(
            recipe.layers.map(\.origin)
                == [.git(url: "https://g/a.git", branchOrTag: "main"), .local(path: nil)]
        )
        #expect(recipe.layers.last?.name == "mine")
    }

    @Test("an image as base keeps its path and digest")
    func imageBase() throws {
        let digest = String(repeating: "Ab", count: 32)
        let recipe = try Recipe(
            text: "name = \"x\"\n[base]\nimage = \"d.qcow2\"\nsha256 = \"\(digest)\"",
            file: "r"
        )
        #expect(recipe.base == .image(path: "d.qcow2", sha256: digest.lowercased()))
    }

    struct Fault: Sendable, CustomTestStringConvertible {
        let text: String
        let message: String
        var testDescription: String { message }

        init(_ text: String, _ message: String) {
            self.text = text
            self.message = message
        }
    }

    static let faults = [
        Fault("name = \"x\"\nversoin = \"1\"", "r:2: unknown key 'versoin' in the recipe: did you mean 'version'?"),
        Fault("version = \"1\"", "r:1: 'name' is missing"),
        Fault("name = \"x\"\nversion = 1.0", "r:2: 'version' must be a string in quotes, not the number 1.0"),
        Fault("name = \"a/b\"", "r:1: 'name' must be a name without '/'"),
        Fault("name = \"\"", "r:1: 'name' must be"),
        Fault("name = \"x\\u001b[2J\"", "not \"x\\u{1B}[2J\""),
        Fault("name = \"x\"\nsize = \"2G\"", "r:2: unknown key 'size' in the recipe: it belongs in [image]"),
        Fault(
            "name = \"x\"\n\n[image]\n# a comment\nszie = \"2G\"",
            "r:5: unknown key 'szie' in [image]: did you mean"
        ),
        Fault(
            "name = \"x\"\nimage.kernel_arguments = []",
            "r:2: unknown key 'kernel_arguments' in [image]: did you mean"
        ),
        Fault("name = \"x\"\nfoo.bar = 1", "r:2: unknown key 'foo' in the recipe: known here: name, version"),
        Fault(
            "name = \"x\"\n[base]\nimage = \"ftp://h/x\"",
            "r:3: 'image' must be the path of a disk image, or its URL"
        ),
        Fault("name = \"x\"\n[variant.v.base]\nimage = \"file:///x\"", "r:3: 'image' must be the path of a disk image"),
        Fault("name = \"x\"\n[image]\nsize = \"2Q\"", "r:3: 'size' must be a multiple of 512 bytes"),
        Fault("name = \"x\"\n[image]\nsize = 0", "r:3: 'size' must be a multiple of 512 bytes"),
        Fault("name = \"x\"\n[image]\nsize = 1000", "r:3: 'size' must be a multiple of 512 bytes"),
        Fault("name = \"x\"\n[image]\nsize = -4096", "r:3: 'size' must be a multiple of 512 bytes"),
        Fault("name = \"x\"\n[image]\nsize = 4096", "r:3: 'size' must be 1 MiB to 8 TiB, not the number 4096"),
        Fault("name = \"x\"\n[image]\nsize = \"8193G\"", "r:3: 'size' must be 1 MiB to 8 TiB, not"),
        Fault("name = \"x\"\n[image]\nsize = \"18446744073709551104\"", "r:3: 'size' must be 1 MiB to 8 TiB, not"),
        Fault(
            "name = \"x\"\n[image]\nfirmware = \"bios\"",
            "r:3: 'firmware' must be an array of strings, not the string"
        ),
        Fault(
            "name = \"x\"\n[image]\nfirmware = []",
            "r:3: 'firmware' must name \"bios\", \"uefi\" or both, not nothing"
        ),
        Fault("name = \"x\"\n[image]\nfirmware = [\"efi\"]", "not \"efi\""),
        Fault("name = \"x\"\n[image]\nhostname = \"a_b\"", "r:3: 'hostname' must be a host name"),
        Fault("name = \"x\"\n[image]\ntimezone = \"../../etc/shadow\"", "r:3: 'timezone' must be"),
        Fault("name = \"x\"\n[image]\nlocale = \"C; rm -rf /\"", "r:3: 'locale' must be"),
        Fault(
            "name = \"x\"\n[image]\nkernel-arguments = [\n \"a\",\n 3,\n]",
            "r:5: 'kernel-arguments' must be an array of"
        ),
        Fault("name = \"x\"\n[image]\nkernel-arguments = [\n \"a\",\n \"b c\",\n]", "r:5: each string of"),
        Fault(
            "name = \"x\"\n[image]\npython = \"conda\"",
            "r:3: 'python' must be \"venv\" or \"system\", not \"conda\""
        ),
        Fault("name = \"x\"\n[image]\ngrow = \"yes\"", "r:3: 'grow' must be true or false, not the string \"yes\""),
        Fault("name = \"x\"\n[packages]\nrecommends = 1", "r:3: 'recommends' must be true or false, not the number 1"),
        Fault("name = \"x\"\nbase = \"debian\"", "r:2: 'base' must be a table, not the string \"debian\""),
        Fault(
            "name = \"x\"\n[base]\nbootstrap = { distribution = \"ubuntu\" }",
            "r:3: 'distribution' must be one that can be bootstrapped (debian), not \"ubuntu\""
        ),
        Fault(
            "name = \"x\"\n[base]\nbootstrap = { suit = \"sid\" }",
            "r:3: unknown key 'suit' in [base.bootstrap]: did"
        ),
        Fault("name = \"x\"\n[base.bootstrap]\nsuite = \"--help\"", "r:3: 'suite' must be"),
        Fault("name = \"x\"\n[base.bootstrap]\nmirror = \"ftp://x\"", "r:3: 'mirror' must be"),
        Fault("name = \"x\"\n[base]\nimage = \"a\"\nbootstrap = {}", "r:2: [base] has both 'bootstrap' and 'image'"),
        Fault("name = \"x\"\n[base]\nsha256 = \"\(String(repeating: "0", count: 64))\"", "r:3: 'sha256' is the digest"),
        Fault("name = \"x\"\n[base]\nimage = \"a\"\nsha256 = \"abc\"", "r:4: 'sha256' must be 64 hexadecimal digits"),
        Fault("name = \"x\"\nlayer = \"a\"", "r:2: 'layer' must be an array of tables"),
        Fault(
            "name = \"x\"\n[layers]\nfoo = 1",
            "r:2: 'layers' must be an array of tables, each starting with [[layers]]"
        ),
        Fault("name = \"x\"\n[[layer]]\npath = \"a\"", "r:2: 'type' is missing in [[layer]]"),
        Fault("name = \"x\"\n[[layer]]\ntype = \"hg\"", "r:3: 'type' must be \"local\" or \"git\", not \"hg\""),
        Fault("name = \"x\"\n[[layer]]\ntype = \"git\"", "r:2: 'url' is missing in [[layer]] of type \"git\""),
        Fault("name = \"x\"\n[[layer]]\ntype = \"local\"", "r:2: 'path' is missing in [[layer]] of type \"local\""),
        Fault("name = \"x\"\n[[layer]]\ntype = \"local\"\npath = \"a\"\nurl = \"b\"", "r:5: 'url' does not go with"),
        Fault(
            "name = \"x\"\n[[layer]]\ntype = \"local\"\npath = \"a\"\n[[layer]]\ntype = \"local\"\npaht = \"b\"",
            "r:7: unknown key 'paht' in [[layer]]: did you mean 'path'?"
        ),
    ]

    @Test("each fault is told with its line", arguments: faults)
    func fault(_ fault: Fault) {
        let message = failure(.badRecipe) { _ = try Recipe(text: fault.text, file: "r") }
        #expect(message.contains(fault.message), "\(message)")
    }

    @Test("all faults of a recipe are told at once, in the order of their lines")
    func severalFaults() {
        let message = failure(.badRecipe) {
            _ = try Recipe(text: "name = \"x\"\n[image]\ngrow = 1\n[base]\nfoo = 2\n", file: "dir/r.toml")
        }
        let lines = message.split(separator: "\n")
        #expect(lines.count == 3)
        #expect(lines.first == "2 faults:")
        #expect(lines.dropFirst().first?.contains("dir/r.toml:3:") == true)
        #expect(lines.last?.contains("dir/r.toml:5:") == true)
    }

    @Test(
        "what is not TOML is told with line and column",
        arguments: [
            ("name = \"x\"\nversion = \"1\n", "r:2:"), ("name = \"x\"\n[image\n", "r:2:"), ("name == 1", "r:1:7:"),
            ("name = \"x\"\nname = \"y\"", "r:2:"),
        ]
    )
    func syntax(text: String, place: String) {
        let message = failure(.badRecipe) { _ = try Recipe(text: text, file: "r") }
        #expect(message.hasPrefix(place), "\(message)")
    }

    @Test("a NUL byte does not hide the rest of the file")
    func nul() {
        let message = failure(.badRecipe) { _ = try Recipe(text: "name = \"x\"\n#\0\nfoo = 1", file: "r") }
        #expect(message.hasPrefix("r:2:"))
    }

    @Test("lines are found through every construct of TOML")
    func lineIndex() {
        let message = failure(.badRecipe) {
            _ = try Recipe(
                text: #"""
                    # a comment with [brackets] and "quotes"
                    name = """
                    x = 1
                    [image]
                    a \""" quote""""
                    "version" = '''
                    ]]''' # still a comment "
                    image.size = "2G"   # "
                    image."hostname" = 'a'
                    image.kernel-arguments = [ # [
                      "a ]", 'b"', """
                    c""",
                      "#",
                    ]
                    base = { bootstrap = { suite = "sid" }, foo = [ { a = 1 }, { b = "}" } ] }
                    [ packages ]   # ]
                    bar = 1979-05-27 07:32:00
                    [[ layer ]]
                    type = "local"
                    path = "a"
                    x1 = 1
                    [layer.x2]
                    [[layer]]
                    type = "local"
                    path = "a"
                    "x3" = 2
                    """#,
                file: "r"
            )
        }
        let places = message.split(separator: "\n").compactMap { line in
            line.contains("unknown key") || line.contains("must be") || line.contains("each string")
                ? line.split(separator: ":").dropFirst().first.map(String.init) : nil
        }
        #expect(places == ["2", "11", "15", "17", "21", "22", "26"], "\(message)")
    }
}
