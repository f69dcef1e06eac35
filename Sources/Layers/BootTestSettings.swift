// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// The `[boot-test]` table: what has to hold of the image once it is up. Nothing of it goes into the image, so no phase
/// and no key knows of it; the image's description carries it.
package struct BootTestSettings: Codable, Sendable, Equatable {
    /// What starts the machine.
    package enum Firmware: String, Codable, Sendable, CaseIterable {
        case bios
        case uefi
        /// UEFI that starts nothing but what Microsoft's keys have signed, as most PCs are delivered.
        case secureBoot = "secure-boot"
    }

    /// Of systemd; each has to be active.
    package var units: [String] = []
    /// Shell text; each has to end with status 0.
    package var commands: [String] = []
    /// For each boot, in seconds; nil: what the test thinks right.
    package var timeout: Int?
    /// nil: all that the image is made for.
    package var firmware: [Firmware]?

    package init() {}

    package var assertions: [BootAssertion] { units.map { .unit($0) } + commands.map { .command($0) } }

    /// Settings of two places, one after the other; for a single value, what `other` says holds.
    package func adding(_ other: BootTestSettings) -> BootTestSettings {
        var sum = self
        sum.units += other.units.filter { !units.contains($0) }
        sum.commands += other.commands.filter { !commands.contains($0) }
        sum.timeout = other.timeout ?? timeout
        sum.firmware = other.firmware ?? firmware
        return sum
    }
}

/// One thing that has to hold of a system that is up.
package enum BootAssertion: Sendable, Equatable {
    case unit(String)
    case command(String)

    /// For the guest's shell: ends with status 0 if it holds, and otherwise prints what tells why it does not.
    var shell: String {
        switch self {
        case .command(let text):
            text
        case .unit(let name):
            """
            systemctl is-active --quiet -- \(name.shellQuoted) && exit 0
            systemctl status --no-pager --full --lines=20 -- \(name.shellQuoted)
            exit 1
            """
        }
    }
}

extension BootTestSettings {
    /// With what the image starts by, as far as the recipe says; of an image that is given only the image knows.
    fileprivate func completed(_ image: ImageSettings, _ base: Base) -> BootTestSettings {
        guard firmware == nil, case .bootstrap = base else { return self }
        var settings = self
        settings.firmware = image.firmware.map { $0 == .bios ? .bios : .uefi }
        return settings
    }
}

extension Plan {
    /// What a boot test of the image looks at.
    package var imageBootTest: BootTestSettings { bootTest.completed(image, base) }
}

extension Recipe {
    /// What a boot test of its image looks at.
    package var imageBootTest: BootTestSettings { bootTest.completed(image, base) }
}
