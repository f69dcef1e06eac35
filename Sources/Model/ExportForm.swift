// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// The formats that an image can be put into for others to use it.
package enum ExportFormat: String, CaseIterable, Codable, Sendable {
    case raw, qcow2, vdi, vmdk, vhdx, vpc, ova, vagrant

    /// How a format lays a disk out in files. The names are those of QEMU.
    package enum Subformat: String, CaseIterable, Codable, Sendable {
        /// What has data takes room.
        case dynamic
        /// The file has the size of the disk; what has no data is holes, where the file system has them.
        case fixed
        case monolithicSparse
        /// Compressed, and written in order.
        case streamOptimized
        /// A description and files of at most 2 GiB.
        case twoGbMaxExtentSparse
    }

    /// Those that there are; the first is meant when none is named. Empty: there is but one way.
    package var subformats: [Subformat] {
        switch self {
        case .vmdk: [.monolithicSparse, .streamOptimized, .twoGbMaxExtentSparse]
        case .vdi, .vhdx, .vpc: [.dynamic, .fixed]
        case .raw, .qcow2, .ova, .vagrant: []
        }
    }

    /// Endings of names that say this format, the dot included; the first is the one that we give.
    package var endings: [String] {
        switch self {
        case .raw: [".raw", ".img"]
        case .vpc: [".vhd", ".vpc"]
        case .vagrant: [".box"]
        case .qcow2, .vdi, .vmdk, .vhdx, .ova: [".\(rawValue)"]
        }
    }

    /// By its own name, or by what its files are called: `vpc` or `vhd`.
    package init?(word: some StringProtocol) {
        let word = word.lowercased()
        guard let format = Self.allCases.first(where: { $0.rawValue == word || $0.endings.contains(".\(word)") }) else {
            return nil
        }
        self = format
    }

    /// What the name of a file says.
    package init?(nameOf path: String) {
        let name = path.split(separator: "/").last.map(String.init)?.lowercased() ?? ""
        let format = Self.allCases.first { format in
            format.endings.contains { name.hasSuffix($0) && name.utf8.count > $0.utf8.count }
        }
        guard let format else { return nil }
        self = format
    }

    /// All of them, for a message.
    package static var list: String { allCases.map(\.rawValue).joined(separator: ", ") }
}

/// A format with all that is to be said of it.
package struct ExportForm: Codable, Sendable, Hashable {
    package let format: ExportFormat
    /// nil: the format has no subformats.
    package let subformat: ExportFormat.Subformat?
    package let isCompressed: Bool

    /// - Parameters:
    ///   - subformat: as the user wrote it; nil: the format's first.
    ///   - compresses: qcow2 with compressed clusters.
    /// - Throws: `usage` for what does not go together, with what does.
    package init(_ format: ExportFormat, subformat: String? = nil, compresses: Bool = false) throws {
        let known = format.subformats
        if let subformat, !known.contains(where: { $0.rawValue.lowercased() == subformat.lowercased() }) {
            throw FlashlayerError(
                .usage,
                known.isEmpty
                    ? "\(format.rawValue) has no subformats: '\(Printable.line(subformat))' does not go with it"
                    : "\(format.rawValue) has no subformat '\(Printable.line(subformat))'",
                advice: Self.possible
            )
        }
        let chosen = known.first { $0.rawValue.lowercased() == subformat?.lowercased() } ?? known.first
        guard !compresses || format == .qcow2 else {
            let advice =
                switch format {
                case .vmdk: "a compressed vmdk is a subformat: --subformat streamOptimized"
                case .ova, .vagrant: "leave it out: \(format.rawValue) is always compressed"
                default: "only qcow2 can be compressed, and vmdk by --subformat streamOptimized"
                }
            throw FlashlayerError(.usage, "--compress does not go with \(format.rawValue)", advice: advice)
        }
        self.format = format
        self.subformat = chosen
        isCompressed = compresses || chosen == .streamOptimized || format == .ova || format == .vagrant
    }

    /// As a recipe spells it: `vmdk`, or `vmdk:streamOptimized`.
    ///
    /// - Throws: `usage`.
    package init(recipeWord word: String) throws {
        let parts = word.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard let format = parts.first.flatMap({ ExportFormat(rawValue: $0) }) else {
            throw FlashlayerError(.usage, "there is no format '\(Printable.line(word))'", advice: Self.possible)
        }
        try self.init(format, subformat: parts.count > 1 ? parts[1] : nil)
    }

    /// What there is to choose from, for a message.
    package static var possible: String {
        let all = ExportFormat.allCases.map { format in
            let subformats = format.subformats.map(\.rawValue).joined(separator: ", ")
            return subformats.isEmpty ? format.rawValue : "\(format.rawValue) (\(subformats))"
        }
        return "there are \(all.joined(separator: ", "))"
    }
}

extension ExportForm: CustomStringConvertible {
    package var description: String {
        guard let subformat, subformat != format.subformats.first else {
            return isCompressed && format == .qcow2 ? "qcow2, compressed" : format.rawValue
        }
        return "\(format.rawValue) \(subformat.rawValue)"
    }
}
