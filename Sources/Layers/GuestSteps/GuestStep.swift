// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Model

/// One thing that is done to a guest. Paths in the guest are absolute; paths on this machine are named `host...`.
package enum GuestStep: Codable, Sendable, Equatable {
    // The disk
    /// Finds the operating system on the first drive and says what it is.
    case inspect
    /// Mounts what `inspect` found, in the same way as `mount`.
    case mountFound
    /// Mounts these file systems, and memory on /run and /tmp.
    case mount([GuestFacts.Mount])
    /// Makes the partition of the root file system that `inspect` found, and the file system, as large as the disk
    /// allows.
    case growRoot
    /// Mounts the whole drive of this number (0 is the first).
    case mountDrive(Int, at: String, writable: Bool = false)
    /// All that was written to the drive is on it afterwards.
    case unmountDrive(at: String)
    /// Gives unused space of these file systems back to the image file.
    case trim([String])
    /// Reads everything that is in the guest that `inspect` found, and nothing else is done with it: see `GuestContent`,
    /// which the file on this machine holds as JSON afterwards.
    case readContent(hostPath: String)
    /// Unmounts everything; whatever still holds a file system is a failure, since the disk would not be clean.
    case unmount
    /// Copies the first drive's image file to this path, as it is now: nothing is mounted.
    case checkpoint(hostPath: String)

    // Files
    case makeFolder(String)
    /// Sets the time of the last change of a file, in seconds since 1970.
    case setTime(String, seconds: Int)
    case write(String, contents: String, mode: UInt16)
    case upload(hostPath: String, to: String, mode: UInt16)
    case link(String, target: String)
    /// A file or link; nothing happens when it is not there.
    case remove(String)
    case download(String, hostPath: String)

    /// Lets the root partition, and its file system, take the whole disk at the first boot. Where the layout does not
    /// allow it, a warning says why.
    case growAtFirstBoot

    /// Gives every file its SELinux label, where the guest uses SELinux. What writes after this writes without labels.
    case relabel

    // Programs
    case run(GuestCommand)
}

/// A program run inside the guest, with the guest as its root.
package struct GuestCommand: Codable, Sendable, Equatable {
    /// Stands in the log before each line: `apt`, `kiosk/10-enable.sh`.
    package var source: String
    /// The first is the program's absolute path.
    package var arguments: [String]
    /// The whole environment; nothing of the appliance's is passed on.
    package var environment: [String: String]
    /// false: no interface at all, not even if the appliance has one.
    package var network = true
    /// What it means if the status is not 0.
    package var failure: ErrorCode
    /// The beginning of the sentence: "script 10-enable.sh of layer kiosk". "ended with status 3" follows.
    package var title: String

    package init(
        source: String,
        arguments: [String],
        environment: [String: String] = GuestCommand.standardEnvironment,
        failure: ErrorCode = .buildFailed,
        title: String
    ) {
        self.source = source
        self.arguments = arguments
        self.environment = environment
        self.failure = failure
        self.title = title
    }

    /// A few lines for the guest's own shell.
    package init(
        shell: String,
        source: String,
        environment: [String: String] = GuestCommand.standardEnvironment,
        failure: ErrorCode = .buildFailed,
        title: String
    ) {
        self.init(
            source: source,
            arguments: ["/bin/sh", "-eu", "-c", shell],
            environment: environment,
            failure: failure,
            title: title
        )
    }

    package static let standardEnvironment = [
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "SOURCE_DATE_EPOCH": "\(SourceDate.seconds)",
    ]
}

/// Where things are put in the guest while it is built. All but the notes is memory, and never on the disk.
package enum GuestFolder {
    /// What one phase leaves for a later one, which may find it on a checkpoint's disk. The last phase removes it.
    package static let notes = "/var/lib/flashlayer-build"
    package static let scratch = "/run/flashlayer"
    package static let packages = "/run/flashlayer/packages"
    /// A drive of its own, which is kept: what the guest's package managers downloaded.
    package static let downloads = "/run/flashlayer/downloads"
}
