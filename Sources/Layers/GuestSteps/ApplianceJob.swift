// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Model

/// What makes a virtual machine's processor: the host's own, or emulation that works everywhere.
package enum Accelerator: String, Codable, Sendable {
    case kvm, tcg
}

/// What `flashlayer-builder` is given: drives, and what to do with them in one launch of the appliance. Nothing of the
/// recipe or of this machine is looked up again while it runs.
package struct ApplianceJob: Codable, Sendable {
    package struct Drive: Codable, Sendable {
        package var path: String
        /// As QEMU names it: `qcow2`, `raw`.
        package var format: String
        package var readOnly: Bool

        package init(path: String, format: String, readOnly: Bool) {
            self.path = path
            self.format = format
            self.readOnly = readOnly
        }
    }

    /// The steps of one phase. The phase is what progress is reported by.
    package struct Stage: Codable, Sendable {
        package var phase: Phase
        package var steps: [GuestStep]

        package init(_ phase: Phase, _ steps: [GuestStep]) {
            self.phase = phase
            self.steps = steps
        }
    }

    /// In the order in which the appliance sees them: /dev/sda, /dev/sdb, ...
    package var drives: [Drive]
    package var accelerator: Accelerator
    package var network: Bool
    /// MiB.
    package var memory: Int
    /// Where libguestfs keeps its sockets and overlays; whoever gives the job removes it afterwards.
    package var temporaryFolder: String
    package var stages: [Stage]

    package init(
        drives: [Drive],
        accelerator: Accelerator,
        network: Bool,
        memory: Int = 1280,
        temporaryFolder: String,
        stages: [Stage]
    ) {
        self.drives = drives
        self.accelerator = accelerator
        self.network = network
        self.memory = memory
        self.temporaryFolder = temporaryFolder
        self.stages = stages
    }
}

/// What `flashlayer-builder` says while it works, one a line.
package enum ApplianceEvent: Codable, Sendable, Equatable {
    /// The appliance is up.
    case launched(seconds: Double)
    /// KVM was asked for and did not come up; the appliance runs emulated.
    case emulated(reason: String)
    case started(Phase)
    case finished(Phase, seconds: Double)
    /// A step of that kind has made this copy of the disk.
    case checkpoint(path: String)
    /// What a command in the guest printed; `source` says which: `apt`, `kiosk/10-enable.sh`.
    case output(source: String, line: String)
    /// Something that a person should know and that is no failure.
    case warning(String)
    case inspected(GuestFacts)
    case failed(FlashlayerError)
}
