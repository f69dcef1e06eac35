// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import FoundationEssentials
import Layers
import Model

/// `NAME.spdx.json`: the software that is really in the image, as SPDX 2.3 has it; see https://spdx.github.io/spdx-spec/v2.3.
/// The names of the properties are those of the file. It follows from the plan and the packages alone: the same image has
/// the same inventory.
struct SPDXDocument: Encodable {
    struct CreationInfo: Encodable {
        let created: String
        let creators: [String]
    }

    struct ExternalReference: Encodable {
        let referenceCategory = "PACKAGE-MANAGER"
        let referenceType = "purl"
        let referenceLocator: String
    }

    struct Package: Encodable {
        let identifier: String
        let name: String
        var versionInfo: String?
        var supplier: String?
        let downloadLocation = "NOASSERTION"
        let filesAnalyzed = false
        var homepage: String?
        var sourceInfo: String?
        let licenseConcluded = "NOASSERTION"
        let licenseDeclared = "NOASSERTION"
        var licenseComments: String?
        let copyrightText = "NOASSERTION"
        var externalRefs: [ExternalReference]?
        var primaryPackagePurpose: String?

        enum CodingKeys: String, CodingKey {
            case identifier = "SPDXID"
            case name, versionInfo, supplier, downloadLocation, filesAnalyzed, homepage, sourceInfo, licenseConcluded
            case licenseDeclared, licenseComments, copyrightText, externalRefs, primaryPackagePurpose
        }
    }

    struct Relationship: Encodable {
        let spdxElementId: String
        let relationshipType: String
        let relatedSpdxElement: String
    }

    let spdxVersion = "SPDX-2.3"
    let dataLicense = "CC0-1.0"
    let identifier = "SPDXRef-DOCUMENT"
    let name: String
    let documentNamespace: String
    let creationInfo: CreationInfo
    let packages: [Package]
    let relationships: [Relationship]

    enum CodingKeys: String, CodingKey {
        case identifier = "SPDXID"
        case spdxVersion, dataLicense, name, documentNamespace, creationInfo, packages, relationships
    }

    init(plan: Plan, software: InstalledSoftware) throws {
        name = "\(plan.outputName)-\(plan.version)"
        creationInfo = CreationInfo(created: SourceDate.text, creators: ["Tool: flashlayer-\(Version.string)"])
        let image = Package(
            identifier: "SPDXRef-image",
            name: plan.outputName,
            versionInfo: plan.version,
            sourceInfo: "built by flashlayer from the plan \(try plan.digest())",
            primaryPackagePurpose: "OPERATING-SYSTEM"
        )
        var identifiers = SPDXIdentifiers()
        let installed = software.packages.map { package in
            Package(package, identifier: identifiers.next(for: package), software)
        }
        packages = [image] + installed
        relationships =
            [
                Relationship(
                    spdxElementId: identifier,
                    relationshipType: "DESCRIBES",
                    relatedSpdxElement: image.identifier
                )
            ]
            + installed.map {
                Relationship(
                    spdxElementId: image.identifier,
                    relationshipType: "CONTAINS",
                    relatedSpdxElement: $0.identifier
                )
            }
        let content = installed.flatMap { [$0.identifier, $0.versionInfo ?? ""] }.joined(separator: "\n")
        let id = try DiskLayout.uuid(of: content, try plan.digest())
        let path = "\(name)-\(id)".percentEncoded
        documentNamespace = "https://spdx.org/spdxdocs/\(path)"
    }

    func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        do {
            return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
        } catch {
            throw FlashlayerError(.fault, "cannot write the image's inventory: \(error)")
        }
    }
}

extension SPDXDocument.Package {
    fileprivate init(_ package: InstalledPackage, identifier: String, _ software: InstalledSoftware) {
        self.identifier = identifier
        name = package.name
        versionInfo = package.version
        supplier = package.supplier.flatMap(SPDXActor.text)
        homepage = package.homepage.flatMap { $0.hasPrefix("http://") || $0.hasPrefix("https://") ? $0 : nil }
        if let source = package.source {
            let version = package.sourceVersion.map { " \($0)" } ?? ""
            sourceInfo = "built from the source package \(source)\(version)"
        }
        licenseComments = package.license.map { "The package says: \($0)" }
        externalRefs = [SPDXDocument.ExternalReference(referenceLocator: PackageURL.of(package, software))]
    }
}

/// Whoever stands behind a package, as SPDX writes them: `Person: NAME (ADDRESS)` or `Organization: ...`.
enum SPDXActor {
    private static let groups = [
        "team", "maintainers", "group", "project", "developers", "packagers", "inc.", "foundation", "community",
        "fedora", "ubuntu", "red hat", "lists.",
    ]

    static func text(_ supplier: String) -> String? {
        let parts = supplier.split(separator: "<", maxSplits: 1)
        // Brackets mean the address.
        let name = (parts.first ?? "").filter { !"()\"".contains($0) }.trimmed
        let address = parts.count > 1 ? parts[1].prefix { $0 != ">" } : ""
        guard !name.isEmpty else { return nil }
        let isGroup = groups.contains { supplier.lowercased().contains($0) } || address.isEmpty
        let hasAddress = address.contains("@") && !address.contains { $0.isWhitespace || "()".contains($0) }
        return (isGroup ? "Organization: " : "Person: ") + name + (hasAddress ? " (\(address))" : "")
    }
}

/// Names within the document: letters, digits, `.` and `-`, each once.
struct SPDXIdentifiers {
    private var taken: Set<String> = ["SPDXRef-image", "SPDXRef-DOCUMENT"]

    mutating func next(for package: InstalledPackage) -> String {
        let format = package.format?.rawValue ?? "package"
        let words = [format, package.name, package.version, package.architecture].filter { !$0.isEmpty }
        let text = words.joined(separator: "-").unicodeScalars.map { scalar in
            scalar.isASCII && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar) || scalar == ".")
                ? "\(scalar)" : "-"
        }.joined()
        var identifier = "SPDXRef-\(text)"
        var number = 1
        while !taken.insert(identifier).inserted {
            number += 1
            identifier = "SPDXRef-\(text)-\(number)"
        }
        return identifier
    }
}

/// A package URL; see https://github.com/package-url/purl-spec.
enum PackageURL {
    static func of(_ package: InstalledPackage, _ software: InstalledSoftware) -> String {
        let version = package.version.percentEncoded
        switch package.format {
        case .pypi?:
            // Names are as PEP 503 has them, less that dots stay.
            let name = package.name.lowercased().map { $0 == "_" ? "-" : "\($0)" }.joined()
            return "pkg:pypi/\(name.percentEncoded)@\(version)"
        case .rpm?, .deb?, nil:
            let type = package.format?.rawValue ?? "generic"
            let space = software.distribution.isEmpty ? "" : "\(software.distribution.percentEncoded)/"
            var qualifiers: [String] = []
            if !package.architecture.isEmpty { qualifiers.append("arch=\(package.architecture.percentEncoded)") }
            if !software.distribution.isEmpty, !software.release.isEmpty {
                qualifiers.append("distro=\("\(software.distribution)-\(software.release)".percentEncoded)")
            }
            let rest = qualifiers.isEmpty ? "" : "?" + qualifiers.joined(separator: "&")
            return "pkg:\(type)/\(space)\(package.name.percentEncoded)@\(version)\(rest)"
        }
    }
}

extension String {
    /// All but what RFC 3986 calls unreserved.
    fileprivate var percentEncoded: String {
        utf8.map { byte in
            let character = Character(Unicode.Scalar(byte))
            let isPlain = byte < 0x80 && (character.isLetter || character.isNumber || "-._~".contains(character))
            let hex = (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            return isPlain ? "\(character)" : "%\(hex)"
        }.joined()
    }

    fileprivate var trimmed: String {
        var text = self[...]
        while text.first?.isWhitespace == true { text = text.dropFirst() }
        while text.last?.isWhitespace == true { text = text.dropLast() }
        return String(text)
    }
}
