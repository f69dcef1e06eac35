// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Layers
import Model
import Resolution

/// Where what a machine prints on its serial console is kept: always, since a boot that passed is what one that fails is
/// compared with. QEMU writes there itself, so that the log is whole even if nobody is left to copy it.
struct SerialLogs {
    /// As the user named it.
    let image: String
    /// nil: beside an image that is a file, else in the current folder; where those take no file, among the temporary
    /// ones.
    let folder: String?

    /// Makes the log of a boot, empty.
    ///
    /// - Returns: its path, absolute: `kiosk.uefi.serial.log` for `kiosk.qcow2`.
    /// - Throws: `cannot-create`, `not-permitted`.
    func start(_ firmware: BootTest.Firmware) throws -> String {
        let path = "\(try place())/\(name).\(firmware.rawValue).serial.log"
        try HostFile.write("", to: path)
        OutputOwner.adopt(path)
        return path
    }

    private var name: String {
        ImageOutput.stem(of: image).split(separator: "/").last.map(String.init) ?? "image"
    }

    private func place() throws -> String {
        if let folder {
            try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            return absolute(folder)
        }
        let parent = image.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        var status = stat()
        let isFile = unsafe stat(image, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
        let beside = parent.isEmpty ? (image.hasPrefix("/") ? "/" : ".") : parent
        let places = (isFile ? [beside] : []) + ["."]
        let chosen = places.first { unsafe access($0, W_OK | X_OK) == 0 }
        return absolute(chosen ?? ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp")
    }

    private func absolute(_ path: String) -> String {
        if path.hasPrefix("/") { return path == "/" ? "" : path }
        let current = FileManager.default.currentDirectoryPath
        return path == "." ? current : "\(current)/\(path)"
    }
}
