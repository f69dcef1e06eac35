// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import TestSupport
import Testing

@Suite("Arrows between rooms")
struct ModuleArrowsTests {
    /// What each target may know, system libraries and other packages included. A new room, or a new arrow, is a
    /// decision: it is taken here first.
    private static let allowed: [String: Set<String>] = [
        "Model": [],
        "Threads": ["Model", "CLinux"],
        "Digests": ["Model", "CCrypto"],
        // Pure: bytes in, bytes out.
        "PartitionTables": [],
        // What a service says and hears: knows nothing of disks.
        "ServiceManager": ["Model", "Threads", "CLinux"],
        "Programs": ["Model", "Threads", "CLinux", "Subprocess", "SystemPackage"],
        // Pure: reads folders, runs nothing.
        "Layers": ["Model", "Digests", "CLinux", "TOMLKit"],
        "DiskImages": [
            "Model", "Threads", "Digests", "PartitionTables", "Programs", "CBzip2", "CLinux", "CLzma", "CZlib", "CZstd",
        ],
        // Devices are opened in a child, which can be left behind.
        "BlockDevices": ["Model", "Threads", "Programs", "CUdev", "CBlkid", "CLinux"],
        // What clients and the daemon say to each other.
        "StationProtocol": ["Model"],
        // Pure: decides, and does nothing. Its file is TOML, of which Layers is the door.
        "Station": ["Model", "Layers", "BlockDevices", "StationProtocol"],
        "Flashing": [
            "Model", "Threads", "Digests", "PartitionTables", "Programs", "DiskImages", "BlockDevices", "CLibURing",
            "CLinux",
        ],
        // Hands and ears of the policy: engines, udev, the socket. Knows nothing of layers but the file of the slots.
        "StationService": [
            "Model", "Threads", "Digests", "Programs", "ServiceManager", "DiskImages", "BlockDevices",
            "StationProtocol", "Station", "Flashing",
        ],
        // Asks the network and the package managers what a project stands for; never touches a disk image.
        "Resolution": ["Model", "Threads", "Digests", "Programs", "Layers"],
        "ImageBuilder": ["Model", "Threads", "Digests", "Programs", "Layers", "DiskImages", "Resolution", "CLinux"],
        // Reads images, and leaves files; it builds nothing.
        "ImageExport": [
            "Model", "Threads", "Digests", "Programs", "Layers", "DiskImages", "Resolution", "ImageBuilder", "CLinux",
        ],
        "Appliance": ["Model", "Threads", "Digests", "Programs", "Layers", "CGuestfs", "CLinux"],
        "FlashlayerCommands": [
            "Model", "Threads", "Digests", "Programs", "Layers", "Resolution", "ImageBuilder", "ImageExport",
            "DiskImages", "BlockDevices", "Flashing", "ServiceManager", "StationProtocol", "Station", "StationService",
            "ArgumentParser",
        ],
        "flashlayer": ["FlashlayerCommands"],
        "flashlayer-builder": ["Appliance"],
        "flashlayerd": ["StationService"],
    ]

    @Test("each shipped target knows only what it may")
    func arrows() async throws {
        for target in try await Manifest.current.value.shipped where target.isSwift {
            let allowed = try #require(Self.allowed[target.name], "\(target.name) has no place in the table")
            let more = Set(target.dependencyNames).subtracting(allowed)
            #expect(more.isEmpty, "\(target.name) must not know \(more.sorted())")
        }
    }

    @Test("the manifest goes from the bottom up: every arrow points at what stands above it, so there is no circle")
    func order() async throws {
        let targets = try await Manifest.current.value.targets
        let names = Set(targets.map(\.name))
        var seen: Set<String> = []
        for target in targets {
            let later = names.intersection(target.dependencyNames).subtracting(seen)
            #expect(later.isEmpty, "\(target.name) comes before \(later.sorted())")
            seen.insert(target.name)
        }
    }

    @Test("layers, disk images and block devices know nothing of each other, not even through others")
    func strangers() async throws {
        let manifest = try await Manifest.current.value
        let rooms: Set = ["Layers", "DiskImages", "BlockDevices"]
        for room in rooms {
            #expect(manifest.reach(of: room).isDisjoint(with: rooms), "\(room)")
        }
        #expect(manifest.reach(of: "Model").isEmpty)
        #expect(manifest.reach(of: "PartitionTables").isEmpty)
    }

    @Test("libguestfs stays in the builder")
    func guestfs() async throws {
        let manifest = try await Manifest.current.value
        #expect(!manifest.reach(of: "flashlayer").contains("CGuestfs"))
        #expect(manifest.dependents(of: "CGuestfs") == ["Appliance"])
        #expect(manifest.dependents(of: "Appliance") == ["flashlayer-builder"])
    }

    @Test(
        "what is outside has one door",
        arguments: [
            ("Subprocess", "Programs"), ("CUdev", "BlockDevices"), ("CBlkid", "BlockDevices"),
            ("CLibURing", "Flashing"), ("CCrypto", "Digests"), ("CZlib", "DiskImages"), ("CLzma", "DiskImages"),
            ("CZstd", "DiskImages"), ("CBzip2", "DiskImages"), ("TOMLKit", "Layers"),
            ("ArgumentParser", "FlashlayerCommands"),
        ]
    )
    func doors(library: String, room: String) async throws {
        #expect(try await Manifest.current.value.dependents(of: library) == [room])
    }

    /// Modules that come with the toolchain and the C library.
    private static let toolchain: Set = ["Glibc", "Dispatch", "FoundationEssentials", "Synchronization"]

    @Test("a file imports what its target declares, and a target declares what a file imports")
    func imports() async throws {
        for target in try await Manifest.current.value.targets where target.isSwift {
            let files = try Checkout.files([target.folder], suffixes: [".swift"])
            let known = Self.toolchain.union(target.dependencyNames).union(target.isTest ? ["Testing"] : [])
            var used: Set<String> = []
            for file in files {
                let imports = try Checkout.lines(file).compactMap(SourceText.importedModule)
                used.formUnion(imports)
                for module in imports where !known.contains(module) {
                    Issue.record("\(file) imports \(module), which \(target.name) does not declare")
                }
            }
            // The program that a test runs is a dependency without an import.
            let programs: Set = ["flashlayer", "flashlayer-builder", "flashlayerd"]
            let unused = Set(target.dependencyNames).subtracting(used).subtracting(programs)
            #expect(unused.isEmpty, "\(target.name) declares \(unused.sorted()) and imports none of it")
        }
    }

    @Test("what ships does with FoundationEssentials: full Foundation makes every start four times as long")
    func noFoundation() throws {
        for file in try Checkout.files(["Sources"], suffixes: [".swift"]) {
            #expect(try !Checkout.lines(file).contains { SourceText.importedModule($0) == "Foundation" }, "\(file)")
        }
    }

    /// In the spelling of `dump-package`.
    private static let settings: [JSONValue] = [
        .object(["swiftLanguageMode": .object(["_0": .string("6")])]),
        .object(["treatAllWarnings": .object(["_0": .string("error")])]),
        .object(["strictMemorySafety": .object([:])]),
        .object(["enableUpcomingFeature": .object(["_0": .string("ExistentialAny")])]),
        .object(["enableUpcomingFeature": .object(["_0": .string("MemberImportVisibility")])]),
        .object(["enableUpcomingFeature": .object(["_0": .string("InternalImportsByDefault")])]),
    ]

    @Test("every Swift target is held to language mode 6, warnings as errors and strict memory safety, and to no less")
    func everySetting() async throws {
        for target in try await Manifest.current.value.targets where target.isSwift {
            let kinds = target.settings.filter { $0.tool == "swift" }.map(\.kind)
            for setting in Self.settings {
                #expect(kinds.contains(setting), "\(target.name) lacks \(setting)")
            }
            #expect(target.settings.count == Self.settings.count, "\(target.name) has settings of its own")
        }
    }
}
