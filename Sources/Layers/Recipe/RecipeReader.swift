// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import Model
import TOMLKit

extension Recipe {
    /// Reads a recipe, strictly: unknown keys, wrong types and impossible values are errors that say where they stand.
    ///
    /// - Parameters:
    ///   - text: the content of the file.
    ///   - file: its name in messages.
    /// - Throws: `bad-recipe`, with every fault that was found.
    package init(text: String, file: String) throws {
        let findings = Findings()
        let recipe = try Self.read(text, file: file, findings)
        try findings.throwErrors()
        self = recipe
    }

    /// - Returns: what could be read, whatever else is wrong.
    /// - Throws: `bad-recipe` for what is no TOML at all.
    static func read(_ text: String, file: String, _ findings: Findings) throws -> Recipe {
        let faults = RecipeFaults(file: file)
        let reader = RecipeReader(root: try RecipeTable(text, file: file, faults: faults), faults: faults)
        let recipe = reader.read(file: file)
        faults.report(to: findings)
        return recipe
    }
}

/// Knows the keys of a recipe: a new one is added here.
struct RecipeReader {
    static let keys =
        RecipeSchema.top.names + [
            "base", "image", "packages", "layer", "layers", "user", "variant", "boot-test", "vm",
        ]
    static let baseKeys = RecipeSchema.base.names
    static let bootstrapKeys = RecipeSchema.bootstrap.names
    static let imageKeys = RecipeSchema.image.names
    static let packageKeys = RecipeSchema.packages.names
    static let layerKeys = RecipeSchema.layer.names

    /// Distributions that mmdebstrap can install and that the bootstrap phase knows how to make boot.
    private static let distributions = ["debian"]

    /// Bytes of a disk: nothing boots from less, and nothing that QEMU makes here is meant to be more.
    private static let sizes = ByteSize.mebibyte...(8 << 10) * ByteSize.gibibyte

    static let homes: [String: String] = {
        var homes: [String: String] = [:]
        for key in imageKeys { homes[key] = "[image]" }
        for key in packageKeys { homes[key] = "[packages]" }
        for key in layerKeys where key != "name" { homes[key] = "[[layer]]" }
        for key in userKeys where key != "name" { homes[key] = "[[user]]" }
        for key in bootTestKeys where key != "firmware" { homes[key] = "[boot-test]" }
        for key in ["cpus", "memory", "disk-controller", "nic", "hardware-version", "product"] { homes[key] = "[vm]" }
        for key in ["bootstrap", "sha256"] { homes[key] = "[base]" }
        for key in bootstrapKeys { homes[key] = "[base] bootstrap" }
        return homes
    }()

    let root: RecipeTable
    let faults: RecipeFaults

    func read(file: String) -> Recipe {
        root.allow(Self.keys, elsewhere: Self.homes)
        // A misspelt one has just been reported.
        if root.table["name"] == nil, !root.table.keys.contains(where: { NearMiss.of($0, among: Self.keys) == "name" })
        {
            faults.add(1, "'name' is missing: name = \"kiosk\"")
        }
        let image = root.table("image").map { self.image($0) } ?? ImageSettings()
        let name = root.text("name", "a name without '/' that does not start with '.' or '-'", where: Self.isFileName)
        let hardware = root.table("vm").map { self.hardware($0) } ?? VirtualHardware()
        let version = root.text("version", "a version such as \"1.0.0\"", where: Self.isFileName)
        return Recipe(
            file: file,
            name: name ?? "",
            version: version ?? "0.0.0",
            base: root.table("base").map(base) ?? .standard,
            baseLine: root.line(of: "base"),
            image: image,
            recommends: root.table("packages").flatMap(recommends),
            layers: layers(root),
            users: users(root),
            bootTest: root.table("boot-test").map { bootTest($0) } ?? BootTestSettings(),
            outputs: outputs(root) ?? Recipe.Outputs(),
            hardware: hardware,
            variants: variants(of: image, hardware)
        )
    }

    func base(_ table: RecipeTable) -> Base {
        table.allow(Self.baseKeys, elsewhere: Self.homes)
        let image = table.text("image", "the path of a disk image, or its URL with http:// or https://") { image in
            !image.contains("://") || image.hasPrefix("http://") || image.hasPrefix("https://")
        }
        let sha256 = table.text("sha256", "64 hexadecimal digits") { Digest(hex: $0) != nil }
        let bootstrap = table.table("bootstrap").map(bootstrap)
        switch (image, bootstrap) {
        case (_?, _?):
            faults.add(table.line, "[base] has both 'bootstrap' and 'image': one of them is meant")
        case (let path?, nil):
            return .image(path: path, sha256: sha256?.lowercased())
        default:
            if table.table["sha256"] != nil, table.table["image"] == nil {
                table.fault("sha256", "'sha256' is the digest of 'image', and there is none in [base]")
            }
        }
        return bootstrap ?? .standard
    }

    private func bootstrap(_ table: RecipeTable) -> Base {
        guard case .bootstrap(let distribution, let suite, _) = Base.standard else { return .standard }
        table.allow(Self.bootstrapKeys, elsewhere: ["image": "[base]", "sha256": "[base]"])
        let known = Self.distributions.joined(separator: ", ")
        let chosen = table.text("distribution", "one that can be bootstrapped (\(known))") {
            Self.distributions.contains($0)
        }
        let chosenSuite = table.text("suite", "a release's name such as \"\(suite)\"") { text in
            text.isASCIIAlphanumeric(or: "-") && text == text.lowercased() && !text.hasPrefix("-")
        }
        let mirror = table.text("mirror", "a URL that starts with http:// or https://") { text in
            (text.hasPrefix("http://") || text.hasPrefix("https://")) && !text.contains(" ")
        }
        return .bootstrap(distribution: chosen ?? distribution, suite: chosenSuite ?? suite, mirror: mirror)
    }

    /// - Parameter settings: what holds where the table says nothing.
    func image(_ table: RecipeTable, over settings: ImageSettings = ImageSettings()) -> ImageSettings {
        table.allow(Self.imageKeys, elsewhere: Self.homes.filter { $0.value != "[image]" })
        var settings = settings
        settings.size = size(table) ?? settings.size
        if let words = table.strings("firmware") { settings.firmware = firmware(words, table) }
        let hostname = table.text("hostname", "a host name: letters, digits, '-' and '.'", where: Self.isHostName)
        settings.hostname = hostname ?? settings.hostname
        let timezone = table.text("timezone", "a time zone such as \"Europe/Berlin\"") { zone in
            zone.isASCIIAlphanumeric(or: "/_+-") && !zone.hasPrefix("/") && !zone.contains("..")
        }
        settings.timezone = timezone ?? settings.timezone
        let locale = table.text("locale", "a locale such as \"C.UTF-8\"") { $0.isASCIIAlphanumeric(or: "._@-") }
        settings.locale = locale ?? settings.locale
        if table.table["kernel-arguments"] != nil { settings.kernelArguments = [] }
        for (index, argument) in (table.strings("kernel-arguments") ?? []).enumerated() {
            let isGood = !argument.isEmpty && !argument.unicodeScalars.contains { $0.value <= 32 || $0.value == 127 }
            if !isGood {
                let line = table.lines.line(of: table.path + ["kernel-arguments", LineIndex.element(index)])
                faults.add(line, "each string of 'kernel-arguments' is one argument, without blanks")
            }
            settings.kernelArguments.append(argument)
        }
        let python = table.text("python", "\"venv\" or \"system\"") { ImageSettings.Python(rawValue: $0) != nil }
        settings.python = python.flatMap { ImageSettings.Python(rawValue: $0) } ?? settings.python
        settings.grow = table.bool("grow") ?? settings.grow
        settings.network = table.bool("network") ?? settings.network
        return settings
    }

    /// `"2G"`, or a number of bytes.
    private func size(_ table: RecipeTable) -> UInt64? {
        guard let value = table.table["size"] else { return nil }
        let size = value.int.flatMap { UInt64(exactly: $0) } ?? value.string.flatMap { ByteSize.parse($0) }
        // A disk is made of sectors.
        guard let size, size > 0, size % 512 == 0 else {
            let expected = "a multiple of 512 bytes, written as \"2G\", \"1536M\", \"4GB\" or a number of bytes"
            table.fault("size", "'size' must be \(expected), not \(RecipeTable.word(value))")
            return nil
        }
        guard Self.sizes.contains(size) else {
            let bounds = "\(ByteSize.describe(Self.sizes.lowerBound)) to \(ByteSize.describe(Self.sizes.upperBound))"
            table.fault("size", "'size' must be \(bounds), not \(RecipeTable.word(value))")
            return nil
        }
        return size
    }

    private func firmware(_ words: [String], _ table: RecipeTable) -> [ImageSettings.Firmware] {
        let all = ImageSettings.Firmware.allCases
        let chosen = Set(words)
        let known = Set(all.map(\.rawValue))
        if chosen.isEmpty || !chosen.isSubset(of: known) {
            let found = words.isEmpty ? "nothing" : words.map(RecipeTable.quoted).joined(separator: ", ")
            table.fault("firmware", "'firmware' must name \"bios\", \"uefi\" or both, not \(found)")
        }
        // One order, whatever the recipe's: the set is what decides, and so it is what the digest sees.
        return all.filter { chosen.contains($0.rawValue) }
    }

    func recommends(_ table: RecipeTable) -> Bool? {
        table.allow(Self.packageKeys, elsewhere: Self.homes)
        return table.bool("recommends")
    }

    /// - Parameter table: the root, or a variant.
    func layers(_ table: RecipeTable) -> [Recipe.LayerEntry] {
        let tables = table.tables("layer") + table.tables("layers")
        return tables.compactMap(layer).enumerated().sorted {
            ($0.element.line, $0.offset) < ($1.element.line, $1.offset)
        }.map(\.element)
    }

    private func layer(_ table: RecipeTable) -> Recipe.LayerEntry? {
        table.allow(Self.layerKeys, elsewhere: Self.homes.filter { $0.value != "[[layer]]" })
        let name = table.text("name", "a layer's name, without '/'", where: Self.isFileName)
        let path = table.text("path", "the path of a layer folder")
        // What starts with '-' would be an option for git.
        let url = table.text("url", "the URL of a git repository") { !$0.hasPrefix("-") }
        let branchOrTag = table.text("branch_or_tag", "a branch, a tag or a commit") { !$0.hasPrefix("-") }
        guard let kind = table.text("type", "\"local\" or \"git\"", where: { ["local", "git"].contains($0) }) else {
            if table.table["type"] == nil {
                faults.add(table.line, "'type' is missing in \(table.name): type = \"local\" or type = \"git\"")
            }
            return nil
        }
        let strangers = kind == "git" ? ["path"] : ["url", "branch_or_tag"]
        for key in strangers where table.table[key] != nil {
            table.fault(key, "'\(key)' does not go with type = \"\(kind)\"")
        }
        if kind == "git" {
            if table.table["url"] == nil { faults.add(table.line, "'url' is missing in \(table.name) of type \"git\"") }
            return url.map {
                Recipe.LayerEntry(name: name, origin: .git(url: $0, branchOrTag: branchOrTag), line: table.line)
            }
        }
        if table.table["path"] == nil, table.table["name"] == nil {
            faults.add(table.line, "'path' is missing in \(table.name) of type \"local\": path = \"layers/kiosk\"")
        }
        return Recipe.LayerEntry(name: name, origin: .local(path: path), line: table.line)
    }

    static func isFileName(_ text: String) -> Bool {
        !text.contains("/") && !text.hasPrefix(".") && !text.hasPrefix("-") && text.utf8.count <= 200
    }

    /// RFC 1123: labels of letters, digits and inner hyphens.
    private static func isHostName(_ text: String) -> Bool {
        text.utf8.count <= 253
            && text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
                (1...63).contains(label.utf8.count) && label.isASCIIAlphanumeric(or: "-") && !label.hasPrefix("-")
                    && !label.hasSuffix("-")
            }
    }
}
