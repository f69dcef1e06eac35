// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

extension RecipeReader {
    static let bootTestKeys = RecipeSchema.bootTest.names

    func bootTest(_ table: RecipeTable) -> BootTestSettings {
        // The keys are words of many meanings: what is missing from [image] is not looked for here.
        table.allow(Self.bootTestKeys)
        var settings = BootTestSettings()
        settings.units = (table.strings("units") ?? []).enumerated().compactMap { index, unit in
            let isGood = unit.isASCIIAlphanumeric(or: ":-_.\\@") && !unit.hasPrefix("-")
            if !isGood {
                element("units", index, table, "names a unit of systemd, such as \"ssh.service\", not", unit)
            }
            return isGood ? unit : nil
        }
        settings.commands = (table.strings("commands") ?? []).enumerated().compactMap { index, command in
            let isGood = !command.allSatisfy(\.isWhitespace) && !command.unicodeScalars.contains("\0")
            if !isGood { element("commands", index, table, "is text for the guest's shell, not", command) }
            return isGood ? command : nil
        }
        settings.timeout = table.integer("timeout", "a number of seconds, at most a day (86400)", in: 1...86400)
        settings.firmware = table.strings("firmware").map { bootFirmware($0, table) }
        return settings
    }

    private func bootFirmware(_ words: [String], _ table: RecipeTable) -> [BootTestSettings.Firmware] {
        let chosen = words.compactMap { BootTestSettings.Firmware(rawValue: $0) }
        if chosen.isEmpty || chosen.count != words.count || Set(words).count != words.count {
            let known = BootTestSettings.Firmware.allCases.map { RecipeTable.quoted($0.rawValue) }
            let found = words.isEmpty ? "nothing" : words.map(RecipeTable.quoted).joined(separator: ", ")
            table.fault(
                "firmware",
                "'firmware' must name some of \(known.joined(separator: ", ")), each once, not \(found)"
            )
        }
        return chosen
    }

    private func element(_ key: String, _ index: Int, _ table: RecipeTable, _ what: String, _ found: String) {
        let line = table.lines.line(of: table.path + [key, LineIndex.element(index)])
        faults.add(line, "each string of '\(key)' \(what) \(RecipeTable.quoted(found))")
    }
}
