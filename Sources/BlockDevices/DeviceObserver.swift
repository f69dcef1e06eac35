// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// Who opens devices to look at them. Whatever opens one may hang in its driver, so nobody else does; what gives no
/// answer is missing from the answers, and the device counts as one that does not respond.
package protocol DeviceObserver: Sendable {
    /// What lies on disks.
    func contents(of paths: [String]) -> [String: ProbeOutcome]

    /// What loop devices read and write, as their driver knows it.
    func loops(at paths: [String]) -> [String: LoopStatus]

    /// Which of these folders have nothing in them that can be seen: they are not there, empty, or on a file system that
    /// does not answer.
    func unseen(of folders: [String]) -> Set<String>

    /// Who else has devices open exclusively: each is opened so for a moment.
    func access(to paths: [String]) -> [String: ExclusiveAccess]
}

/// What came of reading a disk.
package enum ProbeOutcome: Sendable, Equatable, Codable {
    case content(DiskContent)
    /// It may not be opened, or gives errors.
    case unreadable
    /// It did not answer in time.
    case notResponding

    var content: DiskContent? {
        if case .content(let content) = self { content } else { nil }
    }
}

/// What LOOP_GET_STATUS64 tells. See loop(4).
package enum LoopStatus: Sendable, Equatable, Codable {
    /// - Parameters:
    ///   - fileSystem: `st_dev` of the file.
    ///   - device: `st_rdev` of the file: not 0 where it is a block device.
    ///   - isAtPath: whether the path that the kernel has of the file leads to it; nil where nobody looked.
    case backed(fileSystem: UInt64, inode: UInt64, device: UInt64, isAtPath: Bool? = nil)
    /// Nothing is attached, or this user may not ask.
    case unknown
}
