// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import TOMLKit

extension RecipeReader {
    static let hardwareKeys = RecipeSchema.machine.names

    /// `outputs = ["vdi", "vmdk:streamOptimized", "script"]`
    ///
    /// - Returns: nil without such a key.
    func outputs(_ table: RecipeTable) -> Recipe.Outputs? {
        guard let words = table.strings("outputs") else { return nil }
        var forms: [ExportForm] = []
        var layers: [LayerExport] = []
        for (index, word) in words.enumerated() {
            let line = table.lines.line(of: table.path + ["outputs", LineIndex.element(index)])
            if let export = LayerExport(rawValue: word) {
                if layers.contains(export) {
                    faults.add(line, "'outputs' names \(RecipeTable.quoted(word)) twice")
                } else {
                    layers.append(export)
                }
                continue
            }
            do {
                let form = try ExportForm(recipeWord: word)
                // Both would be the same file.
                if forms.contains(where: { $0.format == form.format }) {
                    faults.add(line, "'outputs' names the format \(RecipeTable.quoted(form.format.rawValue)) twice")
                } else {
                    forms.append(form)
                }
            } catch {
                faults.add(
                    line,
                    "each string of 'outputs' is a format, or format:subformat, not \(RecipeTable.quoted(word)): "
                        + ExportForm.possible + "; and of the layers, packer and script"
                )
            }
        }
        return Recipe.Outputs(images: forms, layers: layers)
    }

    /// - Parameter inherited: what holds where the table says nothing.
    func hardware(_ table: RecipeTable, over inherited: VirtualHardware = VirtualHardware()) -> VirtualHardware {
        // The keys are words of many meanings: what is missing from [image] is not looked for here.
        table.allow(Self.hardwareKeys)
        var hardware = VirtualHardware()
        let (cpus, versions) = (VirtualHardware.cpuCounts, VirtualHardware.hardwareVersions)
        hardware.cpus = table.integer("cpus", "a number from \(cpus.lowerBound) to \(cpus.upperBound)", in: cpus)
        hardware.memory = memory(table)
        hardware.firmware = choice("firmware", table)
        hardware.diskController = choice("disk-controller", table)
        hardware.nic = choice("nic", table)
        hardware.hardwareVersion = table.integer(
            "hardware-version",
            "a number from \(versions.lowerBound) to \(versions.upperBound)",
            in: versions
        )
        hardware.product = table.text("product", "the name of a product")
        hardware.productVersion = table.text("product-version", "a version such as \"1.0.0\"")
        hardware.vendor = table.text("vendor", "the name of a vendor")
        let keys = Set(table.table.keys)
        for contradiction in inherited.adding(hardware).contradictions {
            // What neither is said here was told where it is.
            guard let key = [contradiction.key, "hardware-version"].first(where: keys.contains) else { continue }
            table.fault(key, contradiction.text)
        }
        return hardware
    }

    private func choice<Word: RawRepresentable & CaseIterable>(_ key: String, _ table: RecipeTable) -> Word?
    where Word.RawValue == String {
        let known = Word.allCases.map { RecipeTable.quoted($0.rawValue) }.joined(separator: ", ")
        return table.text(key, "one of \(known)") { Word(rawValue: $0) != nil }.flatMap { Word(rawValue: $0) }
    }

    /// `"1G"`, or a number of bytes.
    private func memory(_ table: RecipeTable) -> UInt64? {
        guard let value = table.table["memory"] else { return nil }
        let size = value.int.flatMap { UInt64(exactly: $0) } ?? value.string.flatMap { ByteSize.parse($0) }
        guard let size, VirtualHardware.isMemory(size) else {
            table.fault("memory", "'memory' must be \(VirtualHardware.memoryWords), not \(RecipeTable.word(value))")
            return nil
        }
        return size
    }
}

extension VirtualHardware {
    package static func isMemory(_ bytes: UInt64) -> Bool { memorySizes.contains(bytes) && bytes % memoryUnit == 0 }

    package static var memoryWords: String {
        "a multiple of 4 MiB from \(ByteSize.describe(memorySizes.lowerBound)) to "
            + "\(ByteSize.describe(memorySizes.upperBound)), written as \"2G\", \"1536M\" or a number of bytes"
    }
}
