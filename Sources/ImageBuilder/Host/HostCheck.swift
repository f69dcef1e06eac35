// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// One thing that this machine has or lacks: the table in `HostCheckTable` has them all. A build asks for those that it
/// cannot do without before anything is begun, so that nobody waits a minute to be told; `flashlayer doctor` asks for all.
package struct HostCheck: Sendable {
    /// What cannot be done without it.
    package enum Purpose: String, Sendable, Encodable {
        /// Any build, and a boot test.
        case appliance
        /// A build that starts from nothing.
        case bootstrap
        /// A build, which finds out in its own time.
        case build
        /// Writing to a disk.
        case write
        /// Nothing of the main job: something works less well, or one feature not at all.
        case feature
    }

    package enum Finding: Sendable, Equatable {
        case good(String)
        /// It is worth knowing, and the main job can be done all the same.
        case remark(String, remedy: String?)
        /// - Parameter remedy: a command for a shell, or a sentence.
        case lacking(String, remedy: String?)
    }

    /// A word that never changes: it stands in JSON.
    package let name: String
    package let purpose: Purpose
    let examine: @Sendable (HostView) async -> Finding

    init(_ name: String, _ purpose: Purpose, _ examine: @escaping @Sendable (HostView) async -> Finding) {
        self.name = name
        self.purpose = purpose
        self.examine = examine
    }

    /// Commands of a remedy that only root may give.
    private static let rootCommands: Set<Substring> = [
        "apt-get", "chmod", "modprobe", "mount", "sysctl", "systemctl", "usermod",
    ]

    private static func command(_ remedy: String, for host: HostView) -> String {
        let word = remedy.prefix { $0 != " " }
        return host.isRoot || !rootCommands.contains(word) ? remedy : "sudo \(remedy)"
    }

    package func result(on host: HostView) async -> HostCheckResult {
        let remedy = { (text: String?) in text.map { Self.command($0, for: host) } }
        return switch await examine(host) {
        case .good(let evidence):
            HostCheckResult(check: self, state: .ok, evidence: evidence, remedy: nil)
        case .remark(let evidence, let text):
            HostCheckResult(check: self, state: .note, evidence: evidence, remedy: remedy(text))
        case .lacking(let evidence, let text):
            HostCheckResult(
                check: self,
                state: purpose == .feature ? .note : .problem,
                evidence: evidence,
                remedy: remedy(text)
            )
        }
    }

    /// - Throws: `unavailable`, with the command that mends it.
    static func appliance() async throws {
        try await require(.appliance)
    }

    /// - Throws: `unavailable`, with the command that mends it.
    static func bootstrap() async throws {
        try await require(.bootstrap)
    }

    private static func require(_ purpose: Purpose) async throws {
        let host = HostView()
        for check in table where check.purpose == purpose {
            let result = await check.result(on: host)
            guard result.state != .problem else {
                throw FlashlayerError(.unavailable, result.evidence, advice: result.remedy)
            }
        }
    }
}

/// What came of a check.
package struct HostCheckResult: Sendable, Encodable, Equatable {
    package enum State: String, Sendable, Encodable {
        case ok, note
        /// The main job cannot be done.
        case problem
    }

    package let name: String
    package let neededFor: HostCheck.Purpose
    package let state: State
    /// What was found, in one sentence.
    package let evidence: String
    /// What mends it.
    package let remedy: String?

    init(check: HostCheck, state: State, evidence: String, remedy: String?) {
        name = check.name
        neededFor = check.purpose
        self.state = state
        self.evidence = evidence
        self.remedy = remedy
    }
}
