// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// The keys of a `flashlayer.toml`, table by table: the reader allows these and no others, and flashlayer.toml(5) is
/// printed from them.
package enum RecipeSchema {
    /// One key of a table.
    package struct Key: Sendable {
        package let name: String
        /// What it means and what may be written there, as the rest of a line.
        package let meaning: String
        /// What holds where it is missing; nil: nothing.
        package let standard: String?

        fileprivate init(_ name: String, _ meaning: String, without standard: String? = nil) {
            self.name = name
            self.meaning = meaning
            self.standard = standard
        }
    }

    package struct Table: Sendable {
        /// As it is written in a recipe; empty for what stands above all tables.
        package let header: String
        package let meaning: String
        package let keys: [Key]
    }

    package static let tables = [top, base, bootstrap, image, packages, layer, user, machine, bootTest, variant]

    static let top = Table(
        header: "",
        meaning: "Keys above all tables.",
        keys: [
            Key("name", #"Names the image, such as "kiosk"; a file name without "/"."#, without: "required"),
            Key("version", "A string, which the image carries.", without: "0.0.0"),
            Key(
                "outputs",
                #"Formats that "flashlayer build --all" makes as well: "raw", "qcow2", "vdi", "vmdk", "vhdx", "vpc", "ova", "#
                    + #""vagrant", each with a subformat behind a colon where it has some; and of the layers "packer", "script"."#,
                without: "none"
            ),
        ]
    )

    static let base = Table(
        header: "[base]",
        meaning: "What the layers are laid on. Either bootstrap or image.",
        keys: [
            Key("bootstrap", "A distribution to install; see below.", without: "Debian bookworm"),
            Key("image", "The path of a disk image, from the recipe's folder, or its URL (http or https)."),
            Key("sha256", "The digest of that file, as it is stored.", without: "flashlayer.lock pins what is found"),
        ]
    )

    static let bootstrap = Table(
        header: "bootstrap = { ... }",
        meaning: "A value of [base]: the distribution to install.",
        keys: [
            Key("distribution", #""debian"."#, without: "debian"),
            Key("suite", #"Such as "bookworm"."#, without: "bookworm"),
            Key("mirror", "Where packages come from (http or https).", without: "the distribution's own"),
        ]
    )

    static let image = Table(
        header: "[image]",
        meaning: "The disk, and the settings of its system.",
        keys: [
            Key(
                "size",
                #"Of the disk: "2G", "1536M", "4GB" or bytes, a multiple of 512. G is 2^30, GB is 10^9."#,
                without: "that of the base image, or 2 GiB"
            ),
            Key(
                "firmware",
                #"What a bootstrapped disk boots by: some of "bios" and "uefi". A base image keeps its boot loader."#,
                without: "both"
            ),
            Key("hostname", #"Letters, digits, "-" and "."."#, without: "that of the base"),
            Key("timezone", #"Such as "Europe/Berlin"."#, without: "that of the base"),
            Key("locale", #"Such as "C.UTF-8"."#, without: "that of the base"),
            Key("kernel-arguments", "One argument of the kernel's command line a string.", without: "none"),
            Key(
                "python",
                #"Where Python packages go: "venv" is /opt/NAME/venv, "system" the system's own Python."#,
                without: "venv"
            ),
            Key("grow", "Whether the root file system takes the whole disk at first boot.", without: "true"),
            Key("network", "Whether scripts may use the network.", without: "true"),
        ]
    )

    static let packages = Table(
        header: "[packages]",
        meaning: "How packages are installed.",
        keys: [
            Key(
                "recommends",
                "Whether recommended packages are installed as well.",
                without: "what the guest's package manager does"
            )
        ]
    )

    static let layer = Table(
        header: "[[layer]]",
        meaning: "A layer. May be repeated; the order counts. [[layers]] is read as well.",
        keys: [
            Key("type", #""local" for a folder, "git" for a repository."#, without: "required"),
            Key("path", "The folder, from the recipe's own.", without: "looked up by name"),
            Key("name", "The layer's name.", without: "that of its folder or repository"),
            Key("url", "Of the repository."),
            Key(
                "branch_or_tag",
                "What is checked out; flashlayer.lock pins the commit.",
                without: "the default branch"
            ),
        ]
    )

    static let user = Table(
        header: "[[user]]",
        meaning: "A user of the system. May be repeated; one that the guest has already is changed.",
        keys: [
            Key("name", #"Letters, digits, "-", "_" and "."."#, without: "required"),
            Key("uid", "A number.", without: "the next free one"),
            Key("group", "The primary group, which is made if the guest has none.", without: "one of the user's name"),
            Key("gid", "The number of that group.", without: "the next free one"),
            Key("groups", "Further groups, which the guest or its packages must bring.", without: "none"),
            Key("home", "An absolute path.", without: "/home/NAME"),
            Key("shell", "The absolute path of a program.", without: "/bin/bash, or what the guest's useradd takes"),
            Key("comment", "The real name, or what the account is for.", without: "none"),
            Key("password", #"A hash as in crypt(5), or "!" for one that nothing opens."#, without: "locked"),
            Key("authorized-keys", "Public SSH keys, one a string.", without: "none"),
        ]
    )

    static let machine = Table(
        header: "[vm]",
        meaning: "The machine that an appliance (ova) asks for.",
        keys: [
            Key("cpus", "How many processors.", without: "\(VirtualHardware.standardCPUs)"),
            Key(
                "memory",
                #""2G", "1536M" or bytes, a multiple of 4 MiB."#,
                without: ByteSize.describe(VirtualHardware.standardMemory)
            ),
            Key("firmware", choices(VirtualHardware.Firmware.self), without: "that of the image, BIOS before UEFI"),
            Key("disk-controller", choices(VirtualHardware.DiskController.self), without: "lsilogic"),
            Key("nic", "The network card: " + choices(VirtualHardware.NetworkAdapter.self), without: "e1000"),
            Key(
                "hardware-version",
                "Of VMware's virtual machines, a number.",
                without: "\(VirtualHardware.standardVersion)"
            ),
            Key("product", "The name of the product.", without: "name"),
            Key("product-version", "Its version.", without: "version"),
            Key("vendor", "Who makes it.", without: "none"),
        ]
    )

    static let bootTest = Table(
        header: "[boot-test]",
        meaning: "What flashlayer-boot-test(1) looks at once the image is up.",
        keys: [
            Key("units", "Units of systemd that must be active.", without: "none"),
            Key("commands", "Text for the guest's shell that must end with status 0.", without: "none"),
            Key("timeout", "Seconds that each boot may take.", without: "120, or 600 where machines are emulated"),
            Key(
                "firmware",
                #"Some of "bios", "uefi" and "secure-boot"."#,
                without: "what the image is made for"
            ),
        ]
    )

    static let variant = Table(
        header: "[variant.NAME]",
        meaning: "Another image of the same project, chosen by --variant NAME. What it says holds above the recipe; "
            + "its layers come behind, and its users are added or take the place of those of the same name.",
        keys: [
            Key("outputs", "As above."),
            Key("base", "As above."),
            Key("image", "As above."),
            Key("packages", "As above."),
            Key("layer", "As above; layers is read as well."),
            Key("layers", "The same."),
            Key("user", "As above."),
            Key("boot-test", "As above; added to that of the recipe."),
            Key("vm", "As above."),
        ]
    )
}

extension RecipeSchema {
    /// The words of a setting, as the rest of a line.
    private static func choices<Word: RawRepresentable & CaseIterable>(_ type: Word.Type) -> String
    where Word.RawValue == String {
        let words = type.allCases.map { "\"\($0.rawValue)\"" }
        return words.dropLast().joined(separator: ", ") + " or " + (words.last ?? "") + "."
    }
}

extension RecipeSchema.Table {
    var names: [String] { keys.map(\.name) }
}
