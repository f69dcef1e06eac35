// swift-tools-version: 6.3
// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import PackageDescription

/// Held over every Swift target of ours: a warning is an error, and every use of memory that the compiler cannot
/// vouch for is marked `unsafe` where it happens.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .strictMemorySafety(),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

extension Target.Dependency {
    static let arguments: Self = .product(name: "ArgumentParser", package: "swift-argument-parser")
    static let subprocess: Self = .product(name: "Subprocess", package: "swift-subprocess")
    static let systemPackage: Self = .product(name: "SystemPackage", package: "swift-system")
    static let toml: Self = .product(name: "TOMLKit", package: "TOMLKit")
}

/// System libraries. Each shim says what it adds to the library's own header, and why.
let systemLibraries: [Target] = [
    .systemLibrary(name: "CBlkid", pkgConfig: "blkid", providers: [.apt(["libblkid-dev"])]),
    .systemLibrary(name: "CBzip2", providers: [.apt(["libbz2-dev"])]),
    .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CGuestfs", pkgConfig: "libguestfs", providers: [.apt(["libguestfs-dev"])]),
    .systemLibrary(name: "CLibURing", pkgConfig: "liburing", providers: [.apt(["liburing-dev"])]),
    .systemLibrary(name: "CLinux"),
    .systemLibrary(name: "CLzma", pkgConfig: "liblzma", providers: [.apt(["liblzma-dev"])]),
    .systemLibrary(name: "CUdev", pkgConfig: "libudev", providers: [.apt(["libudev-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
]

/// The rooms, from the bottom up. An arrow points only downwards; `ModuleArrowsTests` holds that.
let rooms: [Target] = [
    .target(name: "Model"),
    .target(name: "Threads", dependencies: ["Model", "CLinux"]),
    .target(name: "Digests", dependencies: ["Model", "CCrypto"]),
    .target(name: "PartitionTables"),
    .target(name: "ServiceManager", dependencies: ["Model", "Threads", "CLinux"]),
    .target(name: "Programs", dependencies: ["Model", "Threads", "CLinux", .subprocess, .systemPackage]),
    .target(name: "Layers", dependencies: ["Model", "Digests", "CLinux", .toml]),
    .target(
        name: "DiskImages",
        dependencies: [
            "Model", "Threads", "Digests", "PartitionTables", "Programs", "CBzip2", "CLinux", "CLzma", "CZlib", "CZstd",
        ]
    ),
    .target(name: "BlockDevices", dependencies: ["Model", "Threads", "Programs", "CUdev", "CBlkid", "CLinux"]),
    .target(name: "StationProtocol", dependencies: ["Model"]),
    .target(name: "Station", dependencies: ["Model", "Layers", "BlockDevices", "StationProtocol"]),
    .target(
        name: "Flashing",
        dependencies: [
            "Model", "Threads", "Digests", "PartitionTables", "Programs", "DiskImages", "BlockDevices", "CLibURing",
            "CLinux",
        ]
    ),
    .target(
        name: "StationService",
        dependencies: [
            "Model", "Threads", "Digests", "Programs", "ServiceManager", "DiskImages", "BlockDevices",
            "StationProtocol",
            "Station", "Flashing",
        ]
    ),
    .target(name: "Resolution", dependencies: ["Model", "Threads", "Digests", "Programs", "Layers"]),
    .target(
        name: "ImageBuilder",
        dependencies: ["Model", "Threads", "Digests", "Programs", "Layers", "DiskImages", "Resolution", "CLinux"]
    ),
    .target(
        name: "ImageExport",
        dependencies: [
            "Model", "Threads", "Digests", "Programs", "Layers", "DiskImages", "Resolution", "ImageBuilder", "CLinux",
        ]
    ),
    .target(name: "Appliance", dependencies: ["Model", "Programs", "Layers", "CGuestfs", "CLinux"]),
    .target(
        name: "FlashlayerCommands",
        dependencies: [
            "Model", "Threads", "Digests", "Programs", "Layers", "Resolution", "ImageBuilder", "ImageExport",
            "DiskImages",
            "BlockDevices", "Flashing", "ServiceManager", "StationProtocol", "Station", "StationService", .arguments,
        ]
    ),
]

let programs: [Target] = [
    .executableTarget(name: "flashlayer", dependencies: ["FlashlayerCommands"]),
    .executableTarget(name: "flashlayer-builder", dependencies: ["Appliance"]),
    .executableTarget(name: "flashlayerd", dependencies: ["StationService"]),
]

let tests: [Target] = [
    .target(
        name: "TestSupport",
        dependencies: ["BlockDevices", "Model", "Programs", "CLinux"],
        path: "Tests/TestSupport",
        // A plugin of nbdkit, which the tests compile: see FaultyDevice.
        exclude: ["faulty-disk.c"]
    ),
    .testTarget(name: "ArchitectureTests", dependencies: ["flashlayer", "Model", "Programs", "TestSupport"]),
    .testTarget(name: "ModelTests", dependencies: ["Model"]),
    .testTarget(name: "ProgramsTests", dependencies: ["Model", "Programs"]),
    .testTarget(
        name: "DiskImagesTests",
        dependencies: ["Digests", "DiskImages", "Model", "Programs", "TestSupport", "Threads"]
    ),
    .testTarget(
        name: "PartitionTablesTests",
        dependencies: ["PartitionTables", "Programs", "TestSupport"]
    ),
    .testTarget(name: "BlockDevicesTests", dependencies: ["BlockDevices", "Model", "TestSupport", "Threads"]),
    .testTarget(
        name: "DeviceTests",
        dependencies: ["BlockDevices", "Model", "Programs", "Threads", "CLinux", "TestSupport"],
        // Descriptions of machines that umockdev reads, and what writes them.
        exclude: ["Machines"]
    ),
    .testTarget(
        name: "FlashlayerCommandsTests",
        dependencies: [
            "BlockDevices", "Flashing", "FlashlayerCommands", "ImageBuilder", "Layers", "Model", "Resolution",
            "TestSupport", .arguments,
        ]
    ),
    .testTarget(
        name: "ResolutionTests",
        dependencies: ["Layers", "Model", "Programs", "Resolution", "TestSupport"]
    ),
    .testTarget(
        name: "ImageBuilderTests",
        dependencies: ["Digests", "ImageBuilder", "Layers", "Model", "Programs", "Resolution", "TestSupport"]
    ),
    .testTarget(
        name: "ImageExportTests",
        dependencies: ["ImageExport", "Layers", "Model", "Programs", "TestSupport"],
        // Judges: they read disks and appliances without us and without QEMU.
        exclude: ["read-appliance.py", "read-disk.py"]
    ),
    .testTarget(
        name: "ApplianceTests",
        dependencies: [
            "Appliance", "Digests", "ImageBuilder", "Layers", "Model", "Programs", "Resolution", "TestSupport",
            "flashlayer", "flashlayer-builder", "CLinux",
        ]
    ),
    .testTarget(name: "ServiceManagerTests", dependencies: ["Model", "ServiceManager", "TestSupport"]),
    .testTarget(
        name: "StationTests",
        dependencies: ["BlockDevices", "Model", "Programs", "Station", "StationProtocol", "TestSupport"]
    ),
    .testTarget(
        name: "StationServiceTests",
        dependencies: [
            "BlockDevices", "Model", "Programs", "ServiceManager", "Station", "StationProtocol",
            "StationService",
            "TestSupport", "flashlayer", "flashlayerd",
        ]
    ),
    .testTarget(
        name: "FlashingTests",
        dependencies: ["BlockDevices", "DiskImages", "Flashing", "Model", "Programs", "TestSupport"]
    ),
    .testTarget(
        name: "LayersTests",
        dependencies: ["Layers", "Digests", "Model", "Programs", "TestSupport", "CLinux", .toml]
    ),
    .testTarget(name: "CommandsTests", dependencies: ["flashlayer", "Layers", "Programs", "Model", "TestSupport"]),
]

for target in rooms + programs + tests {
    target.swiftSettings = settings
}

let package = Package(
    name: "flashlayer",
    products: [
        .executable(name: "flashlayer", targets: ["flashlayer"]),
        .executable(name: "flashlayer-builder", targets: ["flashlayer-builder"]),
        .executable(name: "flashlayerd", targets: ["flashlayerd"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        // Without its default trait: that one pulls in full Foundation.
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2", traits: []),
        .package(url: "https://github.com/LebJe/TOMLKit", from: "0.6.0"),
    ],
    targets: systemLibraries + rooms + programs + tests
)
