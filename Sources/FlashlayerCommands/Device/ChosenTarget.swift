// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import Flashing
import Model
import Threads

/// What the user named as a target, found.
enum ChosenTarget: Sendable {
    case disk(Disk)
    /// `null:` takes everything and keeps nothing.
    case null

    static let nullName = "null:"

    var path: String { target.path }

    var disk: Disk? {
        switch self {
        case .disk(let disk): disk
        case .null: nil
        }
    }

    var target: FlashJob.Target {
        switch self {
        case .disk(let disk): .device(disk.identity)
        case .null: .null
        }
    }

    /// What the user wrote for one, understood.
    enum Name: Sendable {
        case disk(DiskChoice)
        case null

        /// - Throws: `usage` for hints that cannot be understood.
        init(_ argument: String) throws {
            self = argument == nullName ? .null : .disk(try DiskChoice(argument))
        }
    }

    /// What was found for one name.
    struct Finding: Sendable {
        /// nil when the name stands for no disk.
        var target: ChosenTarget?
        /// The reason not to use it that is told as its error.
        var error: FlashlayerError?
        /// The other reasons.
        var others: [Refusal] = []
    }

    /// Looks at all of them in one picture of this machine.
    ///
    /// - Parameter request: what is to be written; nil for disks that are only read, of which no rule is asked.
    /// - Throws: `unavailable`.
    static func find(_ names: [Name], for request: WriteRequest?) async throws -> [Finding] {
        try await onAbandonableThread(named: "judge") {
            let inventory = try Inventory()
            return names.map { name in
                guard case .disk(let choice) = name else { return Finding(target: .null) }
                do {
                    let disk = try inventory.disk(chosenBy: choice)
                    let refusals = request.map { inventory.refusals(of: disk, for: $0) } ?? []
                    return Finding(
                        target: .disk(disk),
                        error: Refusal.error(of: refusals),
                        others: Array(refusals.dropFirst())
                    )
                } catch {
                    return Finding(error: FlashlayerError(wrapping: error))
                }
            }
        }
    }
}
