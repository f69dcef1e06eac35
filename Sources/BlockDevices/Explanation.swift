// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Model

/// What every rule says of one device, passed or failed, with the reason for either.
package struct Explanation: Sendable {
    package enum Verdict: String, Codable, Sendable {
        case pass, fail
        /// It would fail, and the user lifted it.
        case allowed
        /// It cannot be asked: without an image, or of something that is no disk.
        case notAsked = "not-asked"
    }

    /// One rule.
    package struct Finding: Encodable, Sendable {
        package let code: ErrorCode
        package let verdict: Verdict
        /// What was seen that trips the rule, one sentence each; of a rule that passed, one that says what is well.
        package let evidence: [String]
        package let overridable: Bool
    }

    /// As it was found, links resolved.
    package let path: String
    /// nil for what is no whole disk.
    package let disk: Disk?
    package let findings: [Finding]
    /// Why it may not be overwritten, as the error that ends a command; nil when it may.
    package let error: FlashlayerError?
}

extension Inventory {
    /// Asks every rule of whatever the user named. A disk is opened exclusively for a moment.
    ///
    /// - Throws: `notFound`, `ambiguous`.
    package func explanation(of choice: DiskChoice, for request: WriteRequest) throws -> Explanation {
        let disk: Disk
        do {
            disk = try self.disk(chosenBy: choice)
        } catch let error as FlashlayerError where [.notBlockDevice, .partition].contains(error.code) {
            return Explanation(refused: error, path: choice.path ?? "")
        }
        let refusals = refusals(of: disk, for: request)
        var subject = disk.subject
        subject.request = request
        open(&subject)
        // What a rule says here must be what the refusals say: those were asked of the same subject.
        let findings = Rule.all.map { Explanation.Finding($0, of: subject) }
        return Explanation(path: disk.path, disk: disk, findings: findings, error: Refusal.error(of: refusals))
    }
}

extension Explanation {
    /// What is no disk is refused by one rule, and the others have nothing to ask.
    fileprivate init(refused error: FlashlayerError, path: String) {
        let evidence = error.message.split(separator: ": ", maxSplits: 1).last.map(String.init) ?? error.message
        findings = Rule.all.map { rule in
            if rule.code == error.code {
                return Finding(code: rule.code, verdict: .fail, evidence: [evidence], overridable: false)
            }
            let isFirst = rule.code == .notBlockDevice
            return Finding(
                code: rule.code,
                verdict: isFirst ? .pass : .notAsked,
                evidence: [isFirst ? rule.wellness : "it is no whole disk"],
                overridable: rule.isOverridable
            )
        }
        self.path = path
        disk = nil
        self.error = error
    }
}

extension Explanation.Finding {
    init(_ rule: Rule, of subject: Subject) {
        let seen = rule.evidence(subject)
        let isAllowed = rule.isOverridable && subject.request.allowed.contains(rule.code)
        let gap = seen.isEmpty ? rule.gap(subject) : nil
        self.init(
            code: rule.code,
            verdict: gap != nil ? .notAsked : seen.isEmpty ? .pass : isAllowed ? .allowed : .fail,
            evidence: gap.map { [$0] } ?? (seen.isEmpty ? [rule.wellness] : seen),
            overridable: rule.isOverridable
        )
    }
}

extension Rule {
    /// What keeps the rule from being asked; nil when it was asked.
    fileprivate func gap(_ subject: Subject) -> String? {
        switch code {
        case .tooSmall where subject.request.imageSize == nil: "no image of a known size was named (--image)"
        case .sectorSize where subject.request.tableSectorSize == nil:
            "no image with a partition table was named (--image)"
        case .holdsSource where subject.request.sourceFiles.isEmpty: "no image was named (--image)"
        case .changed: "it is asked when the disk is claimed, and again before the first write"
        case .inUse where subject.busy == nil: "it could not be opened"
        case .member where subject.content == nil: "the disk could not be read"
        default: nil
        }
    }
}

extension DiskChoice {
    fileprivate var path: String? {
        if case .path(let path) = self { path } else { nil }
    }
}
