// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Layers
import Model
import Testing

@Suite("outputs and [vm] in a recipe")
struct ExportSettingsTests {
    private func recipe(_ text: String) throws -> Recipe {
        try Recipe(text: "name = \"kiosk\"\nversion = \"2.1\"\n" + text, file: "flashlayer.toml")
    }

    @Test("say what else is made of the image, and the machine that an appliance asks for")
    func read() throws {
        let recipe = try recipe(
            """
            outputs = ["raw", "vmdk:streamOptimized", "vpc:fixed", "ova", "script", "packer"]
            [vm]
            cpus = 4
            memory = "1536M"
            firmware = "uefi"
            disk-controller = "pvscsi"
            nic = "vmxnet3"
            hardware-version = 17
            product = "Lobby"
            vendor = "Example"
            """
        )
        #expect(recipe.outputs.images.map(\.format) == [.raw, .vmdk, .vpc, .ova])
        #expect(recipe.outputs.images.map(\.subformat) == [nil, .streamOptimized, .fixed, nil])
        #expect(recipe.outputs.layers == [.script, .packer])
        let hardware = recipe.imageHardware
        #expect(hardware.cpus == 4 && hardware.memory == 1536 << 20 && hardware.firmware == .uefi)
        #expect(hardware.diskController == .pvscsi && hardware.nic == .vmxnet3 && hardware.hardwareVersion == 17)
        #expect(hardware.product == "Lobby" && hardware.productVersion == "2.1" && hardware.vendor == "Example")
    }

    @Test("without a word, the machine is named after the recipe, and starts as the image does")
    func defaults() throws {
        #expect(try recipe("").outputs.images.isEmpty)
        #expect(try recipe("").imageHardware.product == "kiosk")
        #expect(try recipe("").imageHardware.firmware == .bios)
        #expect(try recipe("[image]\nfirmware = [\"uefi\"]").imageHardware.firmware == .uefi)
        #expect(try recipe("[base]\nimage = \"x.qcow2\"").imageHardware.firmware == nil)
    }

    @Test("tell all their faults at once, with their lines")
    func faults() throws {
        let error = #expect(throws: FlashlayerError.self) {
            try recipe(
                """
                outputs = ["vdi", "floppy",
                    "vdi:fixed", "raw:dynamic", "script", "script"]
                [vm]
                cpus = 0
                memory = "1000001"
                nic = "token-ring"
                firmware = ["bios"]
                hardware-version = 99
                cpu = 2
                """
            )
        }
        #expect(error?.code == .badRecipe)
        for text in [
            "10 faults", "flashlayer.toml:3: each string of 'outputs' is a format",
            "flashlayer.toml:4: 'outputs' names the format \"vdi\" twice",
            "flashlayer.toml:4: 'outputs' names \"script\" twice",
            "flashlayer.toml:4: each string of 'outputs' is a format", "flashlayer.toml:6: 'cpus' must be a number",
            "flashlayer.toml:7: 'memory' must be a multiple of 4 MiB", "flashlayer.toml:8: 'nic' must be one of",
            "flashlayer.toml:9: 'firmware'", "flashlayer.toml:10: 'hardware-version'",
            "flashlayer.toml:11: unknown key 'cpu' in [vm]: did you mean 'cpus'?",
        ] {
            #expect(error?.message.contains(text) == true, "\(text) in \(error?.message ?? "")")
        }
    }

    @Test(
        "a machine whose parts do not go with its hardware version is a fault, where it is said",
        arguments: [
            ("hardware-version = 7\nfirmware = \"uefi\"", "5: the firmware uefi takes hardware version 8"),
            (
                "hardware-version = 9\ndisk-controller = \"sata\"",
                "5: the disk controller sata takes hardware version 10"
            ),
            (
                "hardware-version = 12\ndisk-controller = \"nvme\"",
                "5: the disk controller nvme takes hardware version 13"
            ),
            ("hardware-version = 7\nnic = \"e1000e\"", "5: the network adapter e1000e takes hardware version 8"),
            ("nic = \"e1000e\"\n[variant.a.vm]\nhardware-version = 7", "6: the network adapter e1000e takes"),
            ("hardware-version = 8\n[variant.a.vm]\ndisk-controller = \"sata\"", "6: the disk controller sata takes"),
        ]
    )
    func contradictions(text: String, words: String) throws {
        let error = #expect(throws: FlashlayerError.self) { try recipe("[vm]\n" + text) }
        #expect(error?.code == .badRecipe && error?.message.contains(words) == true, "\(error?.message ?? "")")
    }

    @Test("a machine whose parts go with its hardware version, or with the default one, is none")
    func consistent() throws {
        for text in [
            "hardware-version = 7\ndisk-controller = \"pvscsi\"\nnic = \"vmxnet3\"", "disk-controller = \"nvme\"",
            "hardware-version = 8\nfirmware = \"uefi\"\nnic = \"e1000e\"", "hardware-version = 7\nnic = \"virtio\"",
        ] {
            _ = try recipe("[vm]\n" + text)
        }
        // What the image is made for counts as well.
        let hardware = try recipe("[image]\nfirmware = [\"uefi\"]\n[vm]\nhardware-version = 7").imageHardware
        #expect(throws: FlashlayerError.self) { try hardware.confirm(as: .badRecipe) }
    }

    @Test("of a variant: its outputs take the place of the recipe's, its machine is added")
    func variant() throws {
        let recipe = try recipe(
            """
            outputs = ["vdi"]
            [vm]
            cpus = 2
            memory = "2G"
            [variant.lab]
            outputs = ["vhdx"]
            [variant.lab.vm]
            cpus = 8
            """
        )
        let lab = try recipe.selecting(variant: "lab")
        #expect(lab.outputs.images.map(\.format) == [.vhdx])
        #expect(lab.hardware.cpus == 8 && lab.hardware.memory == 2 << 30)
    }

    @Test("change no key, and stand among what a plan leaves")
    func plan() throws {
        let plain = Plan(
            name: "kiosk",
            version: "1",
            base: .standard,
            image: ImageSettings(),
            recommends: nil,
            layers: []
        )
        var exported = plain
        exported.exports = try ["qcow2", "vdi", "vpc"].map { try ExportForm(recipeWord: $0) }
        exported.hardware.cpus = 9
        #expect(try exported.phases().map(\.key) == plain.phases().map(\.key))
        #expect(try exported.digest() == plain.digest())
        #expect(exported.outputs == plain.outputs + ["kiosk.vdi", "kiosk.vhd"])
    }
}
