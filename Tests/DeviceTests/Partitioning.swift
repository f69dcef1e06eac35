// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import Model
import Programs
import TestSupport

/// The code of the error that `body` throws; nil when it throws none.
func refusal(_ body: () throws -> Void) -> ErrorCode? {
    do {
        try body()
        return nil
    } catch {
        return (error as? FlashlayerError)?.code
    }
}

/// Writes a partition table with sfdisk(8), a program that shares no code with ours.
///
/// - Parameter force: even though somebody holds the device.
func partition(_ loop: LoopDevice, _ script: String, force: Bool = false) async throws {
    let folder = try TemporaryFolder()
    let file = try folder.write(script, to: "table")
    let options = ["--quiet", "--no-reread", "--no-tell-kernel", "--lock=no"] + (force ? ["--force"] : [])
    let command = ["sfdisk"] + options + [loop.path, "<", file]
    try await Program("sh", debianPackage: "dash").run(["-c", command.joined(separator: " ")])
}

/// Makes the kernel have nodes for the partitions of a loop device.
func addNodes(_ loop: LoopDevice) async throws {
    try await Program("partx", debianPackage: "util-linux").run(["--add", loop.path])
}

/// The partition nodes that the kernel has of a loop device.
func partitionNodes(of loop: LoopDevice) -> [String] {
    let view = (try? Inventory())?.view
    let number = view?.names[loop.path]
    return number.flatMap { view?.partitions(of: $0) }?.map(\.path) ?? []
}
