// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Glibc
package import Model

/// A disk held for writing: nobody else can mount it, swap to it, build on it or claim it, and it is the one that was
/// chosen. It is held until the claim goes away. All calls block; use a thread of your own.
package struct Claim: ~Copyable {
    package let identity: DeviceIdentity
    /// Bytes.
    package let logicalSectorSize: Int
    /// Bytes.
    package let size: UInt64
    private let owner: DescriptorOwner

    /// Open for reading and writing with O_DIRECT: buffers, offsets and lengths are multiples of the sector.
    package var descriptor: Int32 { owner.descriptor }

    /// Opens the device exclusively and locks it, then compares it with what was chosen.
    ///
    /// - Parameters:
    ///   - lockTimeout: how long another program that locks the device is waited for.
    ///   - whileWaiting: is called ten times a second meanwhile; what it throws ends the waiting.
    /// - Throws: `inUse`; `busy` when another program keeps the lock; `changed` when it is not the device that was
    ///   chosen; `readOnly`, `noMedium`, `notFound`, `notPermitted`.
    package init(
        _ identity: DeviceIdentity,
        lockTimeout: Duration = .seconds(10),
        whileWaiting: () throws -> Void = {}
    ) throws {
        let deadline = ContinuousClock.now + lockTimeout
        var owner = try Self.openExclusively(identity.path, until: deadline, whileWaiting)
        try Self.lock(owner.descriptor, identity.path, until: deadline, whileWaiting)
        try Self.compare(owner.descriptor, with: identity)
        try Self.holdBelow(&owner, identity.path)
        var isReadOnly: Int32 = 0
        if unsafe flashlayer_blkroget(owner.descriptor, &isReadOnly) == 0, isReadOnly != 0 {
            throw Refusal(.readOnly, path: identity.path, evidence: ["the kernel has it as read-only"]).error
        }
        var sector: Int32 = 512
        guard unsafe flashlayer_blksszget(owner.descriptor, &sector) == 0 else {
            throw FlashlayerError.system("ask \(identity.path) for its sector size", .current, code: .ioError)
        }
        logicalSectorSize = Int(sector)
        size = identity.size
        self.identity = identity
        self.owner = owner
    }

    /// Compares the medium with the one that was chosen once more: before the first write, and before the read-back.
    ///
    /// - Throws: `changed`, `deviceGone`.
    package func confirm() throws {
        try Self.compare(descriptor, with: identity)
    }

    /// Takes the kernel's partition nodes away, so that nobody sees the old partitions while new data arrives. The
    /// bytes of the partition table stay as they are.
    ///
    /// Without CAP_SYS_ADMIN they stay: the claim alone keeps them from being mounted.
    ///
    /// - Parameter timeout: how long a partition may stay open: udev may still be looking at it from before the claim.
    /// - Throws: `inUse` when one is open for longer.
    package func removePartitionNodes(
        timeout: Duration = .seconds(3),
        whileWaiting: () throws -> Void = {}
    ) throws {
        let deadline = ContinuousClock.now + timeout
        for partition in KernelPartitions.list(of: identity.deviceNumber) {
            while let error = KernelPartitions.remove(partition.number, descriptor) {
                guard error.value == EBUSY else { return }
                guard ContinuousClock.now < deadline else {
                    let evidence = "its partition \(partition.number) is open in another program"
                    throw Refusal(.inUse, path: identity.path, evidence: [evidence]).error
                }
                try whileWaiting()
                usleep(50_000)
            }
        }
    }

    /// Makes sure that what is read next from an open device comes from the medium and not from memory. BLKFLSBUF needs
    /// CAP_SYS_ADMIN; without it the kernel is asked to forget what is clean, which is enough with O_DIRECT.
    package static func dropCache(_ descriptor: Int32) {
        guard flashlayer_blkflsbuf(descriptor) != 0 else { return }
        _ = posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
    }

    /// Lets the device go and tells the kernel and udev what now lies on it. What was written must be flushed.
    ///
    /// - Returns: what could not be done, as sentences; the data is safe all the same.
    package consuming func settle(timeout: Duration = .seconds(10)) -> [String] {
        let path = identity.path
        let number = identity.deviceNumber
        // udev leaves locked devices alone: it has to be free before the kernel announces what it found.
        flock(descriptor, LOCK_UN)
        var notes = KernelPartitions.reread(descriptor, path: path, number: number)
        release()
        notes += UdevDaemon.announce(number, timeout: timeout).map { "\(path): \($0)" }
        return notes
    }

    /// Consumes the claim, and with it the descriptor.
    private consuming func release() {}

    private static func openExclusively(
        _ path: String,
        until deadline: ContinuousClock.Instant,
        _ whileWaiting: () throws -> Void
    ) throws -> DescriptorOwner {
        while true {
            let flags = O_RDWR | O_EXCL | flashlayer_o_direct | O_CLOEXEC
            let descriptor = unsafe flashlayer_open(path, flags, 0)
            if descriptor >= 0 { return DescriptorOwner(descriptor) }
            let error = Errno.current
            switch error.value {
            case EBUSY where ExclusiveAccess.isLocked(path):
                guard ContinuousClock.now < deadline else { throw busy(path) }
                try whileWaiting()
                usleep(100_000)
            case EBUSY:
                throw Refusal(.inUse, path: path, evidence: ["it cannot be opened exclusively: \(error)"]).error
            case EROFS:
                throw Refusal(.readOnly, path: path, evidence: ["it cannot be opened for writing: \(error)"]).error
            case ENOMEDIUM, ENXIO, ENODEV:
                throw Refusal(.noMedium, path: path, evidence: ["it cannot be opened: \(error)"]).error
            default:
                throw FlashlayerError.system("open \(path) for writing", error, code: .inUse)
            }
        }
    }

    private static func lock(
        _ descriptor: Int32,
        _ path: String,
        until deadline: ContinuousClock.Instant,
        _ whileWaiting: () throws -> Void
    ) throws {
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            let error = Errno.current
            guard error.value == EWOULDBLOCK || error.value == EINTR else {
                throw FlashlayerError.system("lock \(path)", error, code: .inUse)
            }
            guard ContinuousClock.now < deadline else { throw busy(path) }
            try whileWaiting()
            usleep(100_000)
        }
    }

    /// A loop device leaves what it is over to everybody: that is held as well, down to the disk.
    private static func holdBelow(_ owner: inout DescriptorOwner, _ path: String) throws {
        var upper = owner.descriptor
        var seen: Set<DeviceNumber> = []
        while let lower = DeviceNumber(below: upper), let disk = KernelPartitions.disk(of: lower),
            seen.insert(disk.number).inserted
        {
            upper = unsafe open(disk.path, O_RDONLY | O_EXCL | O_CLOEXEC)
            guard upper >= 0 else {
                let error = Errno.current
                let evidence = "\(disk.path) below it cannot be opened exclusively: \(error)"
                throw Refusal(.inUse, path: path, evidence: [evidence]).error
            }
            owner.below.append(upper)
        }
    }

    private static func busy(_ path: String) -> FlashlayerError {
        FlashlayerError(
            .busy,
            "another program has locked \(path), perhaps another flashlayer",
            advice: "wait until it is done; 'lslocks' or 'fuser -v \(path)' may name it"
        )
    }

    private static func compare(_ descriptor: Int32, with identity: DeviceIdentity) throws {
        let found = try DeviceIdentity(of: descriptor, path: identity.path)
        var differences: [String] = []
        func note(_ what: String, _ chosen: String, _ now: String) {
            if chosen != now { differences.append("\(what) was \(chosen) and is \(now)") }
        }
        note("its number", "\(DeviceNumber(identity.deviceNumber))", "\(DeviceNumber(found.deviceNumber))")
        if let chosen = identity.diskSequence, let now = found.diskSequence {
            note("its disk sequence", "\(chosen)", "\(now)")
        }
        note("its size", "\(identity.size)", "\(found.size)")
        // udevd may have told one time and not the other: what is unknown is no difference.
        if let chosen = identity.serial, let now = found.serial { note("its serial", chosen, now) }
        guard differences.isEmpty else {
            throw Refusal(.changed, path: identity.path, evidence: differences).error
        }
    }
}

/// Closes what it owns.
private struct DescriptorOwner: ~Copyable {
    let descriptor: Int32
    /// Of the devices that this one is a loop over.
    var below: [Int32] = []

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
    }

    deinit {
        close(descriptor)
        for descriptor in below { close(descriptor) }
    }
}

extension DeviceNumber {
    /// The block device that an open loop device is over; nil where there is none.
    fileprivate init?(below descriptor: Int32) {
        guard case .backed(_, _, let device, _) = LoopStatus(of: descriptor), device != 0 else { return nil }
        self.init(device)
    }
}

extension DeviceIdentity {
    /// What an open device is now.
    ///
    /// - Throws: `deviceGone`, `ioError`.
    package init(of descriptor: Int32, path: String) throws {
        var status = stat()
        var size: UInt64 = 0
        guard unsafe fstat(descriptor, &status) == 0, unsafe flashlayer_blkgetsize64(descriptor, &size) == 0 else {
            throw FlashlayerError.system("ask \(path) what it is", .current, code: .ioError)
        }
        var sequence: UInt64 = 0
        let isCounted = unsafe flashlayer_blkgetdiskseq(descriptor, &sequence) == 0
        let number = UInt64(status.st_rdev)
        self.init(
            path: path,
            deviceNumber: number,
            diskSequence: isCounted ? sequence : nil,
            size: size,
            serial: HardwareFacts.serial(of: DeviceNumber(number))
        )
    }
}
