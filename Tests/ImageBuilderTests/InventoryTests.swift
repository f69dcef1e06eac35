// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Layers
import Programs
import TestSupport
import Testing

@testable import ImageBuilder

@Suite("The inventory of an image")
struct InventoryTests {
    /// As `FinishSteps.packageList` has them, with what packages really say of themselves.
    private static let list = """
        os\tdebian\t12
        deb\tlibstdc++6\t12.2.0-14+deb12u1\tamd64\tgcc-12\t12.2.0-14+deb12u1\tDebian GCC Maintainers <debian-gcc@lists.debian.org>\thttp://gcc.gnu.org/
        deb\tssh\t1:9.2p1-2\tall\topenssh\t1:9.2p1-2\tJane (JD) "Doe" <jane@debian.org>\t
        deb\tlibc6\t2.36-9\tamd64\tglibc\t2.36-9\t\tnot an address
        deb\tlibc6\t2.36-9\ti386\tglibc\t2.36-9\t\t
        rpm\tbash\t5.2.15-3.fc39\tx86_64\tbash-5.2.15-3.fc39.src.rpm\t\tFedora Project\thttps://www.gnu.org/software/bash\tGPLv3+
        pypi\tFlask_Login\t0.6.3\t\t\t\tÄnne Ünal\tUNKNOWN\tMIT

        """

    private func document(_ list: String = list) throws -> SPDXDocument {
        let plan = Plan(
            name: "a box",
            version: "1.0.0",
            base: .standard,
            image: ImageSettings(),
            recommends: nil,
            layers: []
        )
        return try SPDXDocument(plan: plan, software: InstalledSoftware(list))
    }

    private static let judge = "/opt/flashlayer-judges/bin/pyspdxtools"

    @Test(
        "is valid SPDX 2.3 for the SPDX project's own tools",
        .enabled(if: Program.isExecutable(judge), "no validator here: sudo make deps")
    )
    func valid() async throws {
        let folder = try TemporaryFolder()
        for (name, list) in [("all", Self.list), ("none", "os\tdebian\t12\n"), ("nothing", "")] {
            let file = try folder.write(try document(list).json(), to: "\(name).spdx.json")
            let outcome = try await Program(at: Self.judge).outcome(["--infile", file, "--version", "SPDX-2.3"])
            #expect(outcome.status == 0, "\(outcome.output)\(outcome.errors)")
        }
    }

    @Test("names each package by its URL, and what it was built from")
    func packages() throws {
        let packages = try document().packages
        #expect(
            packages.compactMap { $0.externalRefs?.first?.referenceLocator } == [
                "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12",
                "pkg:deb/debian/ssh@1%3A9.2p1-2?arch=all&distro=debian-12",
                "pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12",
                "pkg:deb/debian/libc6@2.36-9?arch=i386&distro=debian-12",
                "pkg:rpm/debian/bash@5.2.15-3.fc39?arch=x86_64&distro=debian-12",
                "pkg:pypi/flask-login@0.6.3",
            ]
        )
        #expect(
            packages.map(\.supplier) == [
                nil, "Organization: Debian GCC Maintainers (debian-gcc@lists.debian.org)",
                "Person: Jane JD Doe (jane@debian.org)", nil, nil, "Organization: Fedora Project",
                "Organization: Änne Ünal",
            ]
        )
        #expect(packages[1].sourceInfo == "built from the source package gcc-12")
        #expect(packages[5].licenseComments == "The package says: GPLv3+")
        #expect(packages.map(\.homepage).compactMap { $0 }.count == 2)
        #expect(Set(packages.map(\.identifier)).count == packages.count)
    }

    @Test("is the same for the same image, and has another name space for another")
    func deterministic() throws {
        let first = try document()
        #expect(try first.json() == document().json())
        #expect(first.creationInfo.created == "2026-01-01T00:00:00Z" || SourceDate.seconds != SourceDate.standard)
        let other = try document(Self.list.replacing("5.2.15-3", with: "5.2.15-4"))
        #expect(first.documentNamespace != other.documentNamespace)
        #expect(first.documentNamespace.hasPrefix("https://spdx.org/spdxdocs/a%20box-1.0.0-"))
    }

    @Test("holds that the image contains each package, and the document describes the image")
    func relationships() throws {
        let document = try document()
        let contained = document.relationships.filter { $0.relationshipType == "CONTAINS" }
        #expect(contained.map(\.relatedSpdxElement) == document.packages.dropFirst().map(\.identifier))
        #expect(document.relationships.first?.relationshipType == "DESCRIBES")
        #expect(document.relationships.first?.relatedSpdxElement == document.packages.first?.identifier)
    }
}
