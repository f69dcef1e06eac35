// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// The udev rules that let the daemon's group at the disks of taught slots, and at nothing else. No rule starts a write.
package enum SlotRules {
    /// Where udev reads them.
    package static let file = "/etc/udev/rules.d/85-flashlayer-slots.rules"

    /// udev's `*` also matches a slash, so a pattern alone would let hubs in between pass. What holds the chain is the
    /// name of the interface, `1-1.4:1.0`: bus, hyphen, the whole chain, colon. The bus is told by the speed of the very
    /// device whose chain it is: ATTRS of one rule must all fit the same parent.
    ///
    /// - Returns: the text of `/etc/udev/rules.d/85-flashlayer-slots.rules`.
    package static func text(for map: SlotMap, group: String = "flashlayer") -> String {
        var lines = [
            "# Written by `flashlayer station teach`; taught slots stand in /etc/flashlayer/station.toml.",
            "# After 60-persistent-storage.rules and 80-udisks2.rules, before 99-systemd.rules.",
            "",
            #"ACTION=="remove", GOTO="flashlayer_slots_end""#,
            #"SUBSYSTEM!="block", GOTO="flashlayer_slots_end""#,
        ]
        for slot in map.slots {
            lines.append("")
            for port in slot.ports {
                lines.append(match(port) + #", ENV{FLASHLAYER_SLOT}="\#(slot.name)""#)
            }
        }
        lines += [
            "",
            "# Desktops leave a disk of the station alone, and what is on it.",
            #"ENV{FLASHLAYER_SLOT}=="?*", ENV{UDISKS_IGNORE}="1""#,
            #"ENV{FLASHLAYER_SLOT}=="?*", ENV{DEVTYPE}=="disk", GROUP="\#(group)", MODE="0660""#,
            "",
            #"LABEL="flashlayer_slots_end""#,
        ]
        return lines.joined(separator: "\n") + "\n"
    }

    private static func match(_ port: UsbPortPath) -> String {
        let speeds = port.side == .usb2 ? "1.5|12|480" : "5000|10000|20000"
        return #"DEVPATH=="/devices/\#(port.controller)/usb*/*-\#(port.chain):*/block/*", "#
            + #"ATTRS{devpath}=="\#(port.chain)", ATTRS{speed}=="\#(speeds)""#
    }
}
