// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Layers
import Model
import Testing

@Suite("[boot-test] in a recipe")
struct BootTestSettingsTests {
    private func recipe(_ text: String) throws -> Recipe {
        try Recipe(text: "name = \"kiosk\"\n" + text, file: "flashlayer.toml")
    }

    @Test("says what has to hold of the image once it is up")
    func read() throws {
        let settings = try recipe(
            """
            [boot-test]
            units = ["ssh.service", "getty@tty1.service"]
            commands = ["test -s /etc/motd", \"\"\"
            set -e
            jq --version
            \"\"\"]
            timeout = 300
            firmware = ["secure-boot", "bios"]
            """
        ).bootTest
        #expect(settings.units == ["ssh.service", "getty@tty1.service"])
        #expect(settings.commands == ["test -s /etc/motd", "set -e\njq --version\n"])
        #expect(settings.timeout == 300)
        #expect(settings.firmware == [.secureBoot, .bios])
    }

    @Test("without a word about firmware, means that which the image is made for")
    func firmware() throws {
        #expect(try recipe("[image]\nfirmware = [\"bios\"]").imageBootTest.firmware == [.bios])
        #expect(try recipe("").imageBootTest.firmware == [.bios, .uefi])
        #expect(try recipe("[base]\nimage = \"x.qcow2\"").imageBootTest.firmware == nil)
    }

    @Test("tells all its faults at once, with their lines")
    func faults() throws {
        let error = #expect(throws: FlashlayerError.self) {
            try recipe(
                """
                [boot-test]
                units = ["ssh.service", "-H evil"]
                commands = ["true", " "]
                timeout = 0
                firmware = ["bios", "coreboot"]
                unit = ["x"]
                """
            )
        }
        #expect(error?.code == .badRecipe)
        for text in [
            "5 faults", "flashlayer.toml:3: each string of 'units'", "flashlayer.toml:4: each string of 'commands'",
            "flashlayer.toml:5: 'timeout' must be a number of seconds", "flashlayer.toml:6: 'firmware' must name",
            "flashlayer.toml:7: unknown key 'unit' in [boot-test]: did you mean 'units'?",
        ] {
            #expect(error?.message.contains(text) == true, "\(error?.message ?? "")")
        }
    }

    @Test("of a variant adds to that of the recipe, and its single values win")
    func variant() throws {
        let settings = try recipe(
            """
            [boot-test]
            units = ["ssh.service"]
            timeout = 60
            [variant.lab.boot-test]
            units = ["ssh.service", "lab.service"]
            timeout = 90
            """
        ).selecting(variant: "lab").bootTest
        #expect(settings.units == ["ssh.service", "lab.service"])
        #expect(settings.timeout == 90)
    }

    @Test("changes no key: a build that differs in nothing else is the same build")
    func keys() throws {
        let plain = Plan(
            name: "kiosk",
            version: "1",
            base: .standard,
            image: ImageSettings(),
            recommends: nil,
            layers: []
        )
        var tested = plain
        tested.bootTest.units = ["ssh.service"]
        #expect(try tested.phases().map(\.key) == plain.phases().map(\.key))
    }
}
