// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Digests
import Glibc
import Layers
import Model
import Threads

/// Puts a disk into an archive with what describes it: an OVA, or a box for Vagrant's libvirt provider.
struct Packaging: Sendable {
    let form: ExportForm
    /// The disk's file, complete.
    let disk: String
    let archive: String
    /// Of the machine.
    let name: String
    let facts: DiskFacts
    let hardware: VirtualHardware

    struct DiskFacts: Sendable {
        /// Bytes.
        let capacity: UInt64
        /// Bytes of it that are data.
        let populatedSize: UInt64
    }

    /// - Parameter onProgress: is given the bytes done of the disk's file.
    /// - Throws: `no-space`, `cannot-create`, `verify-failed`, `interrupted`.
    func run(onProgress: @escaping @Sendable (_ done: UInt64, _ total: UInt64) -> Void) async throws {
        let isCancelled = Monitor(false)
        try await withTaskCancellationHandler {
            try await onOwnThread(named: "pack-image") {
                try pack({ isCancelled.update { $0 } }, onProgress)
            }
        } onCancel: {
            isCancelled.update { $0 = true }
        }
    }

    private func pack(_ isCancelled: () -> Bool, _ onProgress: (UInt64, UInt64) -> Void) throws {
        var status = stat()
        guard unsafe stat(disk, &status) == 0 else {
            throw FlashlayerError.system("read \(disk)", .current, code: .fault)
        }
        let size = UInt64(status.st_size)
        var open = try ApplianceArchive(path: archive, modified: SourceDate.seconds)
        let diskName: String
        if form.format == .ova {
            diskName = Self.diskName(name)
            let ovf = OVFDescriptor(
                name: name,
                disk: diskName,
                fileSize: size,
                capacity: facts.capacity,
                populatedSize: facts.populatedSize,
                hardware: hardware
            )
            // The order that DSP0243 demands: whoever reads from a stream has all that is to be known first.
            let text = ovf.xml
            let files = [
                (name: "\(name).ovf", sha256: try SHA256.digest(of: text).hex),
                (name: diskName, sha256: try SHA256.digest(ofFile: disk).hex),
            ]
            try open.add("\(name).ovf", text)
            try open.add("\(name).mf", OVFDescriptor.manifest(files))
        } else {
            diskName = "box.img"
            try open.add("metadata.json", VagrantBox.metadata(capacity: facts.capacity))
            try open.add("Vagrantfile", VagrantBox.vagrantfile(hardware))
        }
        try open.add(diskName, file: disk, size: size, isCancelled: isCancelled) { onProgress($0, size) }
        try open.finish()
        try open.verify(isCancelled: isCancelled)
    }

    static func diskName(_ name: String) -> String { "\(name)-disk1.vmdk" }
}

/// What a box of Vagrant's libvirt provider has beside its disk.
enum VagrantBox {
    /// - Parameter capacity: of the disk, in bytes.
    static func metadata(capacity: UInt64) -> String {
        let gibibytes = capacity.roundedUp(to: ByteSize.gibibyte) / ByteSize.gibibyte
        return "{\"provider\": \"libvirt\", \"format\": \"qcow2\", \"virtual_size\": \(gibibytes)}\n"
    }

    static func vagrantfile(_ hardware: VirtualHardware) -> String {
        let memory = (hardware.memory ?? VirtualHardware.standardMemory) / ByteSize.mebibyte
        return """
            Vagrant.configure("2") do |config|
              config.vm.provider :libvirt do |libvirt|
                libvirt.cpus = \(hardware.cpus ?? VirtualHardware.standardCPUs)
                libvirt.memory = \(memory)
              end
            end

            """
    }
}
