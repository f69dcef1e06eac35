// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import BlockDevices
import Glibc
import Model
import Threads

/// `flashlayer explain`
struct Explain: Operation {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Say of one disk, rule by rule, why it may be overwritten or not.",
        usage: "flashlayer explain <device> [--image <image>] [--allow <code>] [--json]",
        discussion: """
            Asks every rule that 'flashlayer write' asks, and shows for each whether the disk passes, and what was seen. \
            Nothing is written. With --image the rules that depend on the image are asked as well. Exit status 0 when the \
            disk may be written, 77 when not.

              flashlayer explain /dev/sdb
              flashlayer explain /dev/sdb --image kiosk.qcow2
              flashlayer explain 'serial=4C53*' --allow internal --json

            What is in an image, and which layer put it there, says 'flashlayer why'.
            """
    )

    @Argument(help: "The disk, such as /dev/sdb or 'serial=4C53*'.", completion: .file())
    var device: String

    @Option(help: ArgumentHelp("The image that would be written.", valueName: "image"), completion: .file())
    var image: String?

    @Option(
        name: .long,
        parsing: .singleValue,
        help: ArgumentHelp("Judge as if this rule was lifted. May be repeated.", valueName: "code"),
        completion: .list(Rule.all.filter(\.isOverridable).map(\.code.rawValue))
    )
    var allow: [String] = []

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var common: CommonOptions

    func perform(_ console: Console) async throws {
        let allowed = try Set(allow.map { try Rule.allowance($0) })
        let choice = try DiskChoice(device)
        var isKnown: ImageChoice?
        if let image { isKnown = try await ImageChoice.open(image, try .unset, console) }
        let request = WriteRequest(
            imageSize: isKnown?.facts.size,
            tableSectorSize: isKnown?.facts.tableSectorSize,
            sourceFiles: isKnown?.files ?? [],
            allowed: allowed
        )
        let explanation: Explanation
        do {
            explanation = try await onAbandonableThread(named: "explain") {
                try Inventory().explanation(of: choice, for: request)
            }
        } catch {
            // No disk, or several: there is nothing to ask the rules of, but a program wants to know as well.
            let failure = misled(FlashlayerError(wrapping: error))
            if json { Console.answer(try JSONText.of(ExplanationRecord(of: device, failure))) }
            throw failure
        }
        let error = explanation.error ?? unopenable(explanation)
        Console.answer(
            json ? try JSONText.of(ExplanationRecord(explanation, error)) : text(explanation, console, error)
        )
        if let error { throw misled(error) }
    }

    /// Paths of an image look like paths of this machine.
    private func misled(_ error: FlashlayerError) -> FlashlayerError {
        let isElsewhere = error.code == .notFound && device.hasPrefix("/") && !device.hasPrefix("/dev/")
        guard isElsewhere || (error.code == .notBlockDevice && !device.contains("=")) else { return error }
        return FlashlayerError(error.code, error.message, advice: misled(error.advice))
    }

    private func misled(_ advice: String?) -> String {
        let path = device.hasPrefix("/") ? device : "/" + device
        let other = "to ask which layer put a file into an image: flashlayer why \(Printable.line(path))"
        return [advice, other].compactMap { $0 }.joined(separator: "\n  ")
    }

    /// A user who may not open the disk cannot write it, whatever the rules say.
    private func unopenable(_ explanation: Explanation) -> FlashlayerError? {
        guard let path = explanation.disk?.path, unsafe access(path, R_OK | W_OK) != 0 else { return nil }
        return FlashlayerError.system("open \(path) for writing", .current, code: .notPermitted)
    }

    private func text(_ explanation: Explanation, _ console: Console, _ error: FlashlayerError?) -> String {
        var lines: [String] = []
        if let disk = explanation.disk { lines += [Confirmation.description(of: disk), ""] }
        let width = explanation.findings.map(\.code.rawValue.count).max() ?? 0
        for finding in explanation.findings {
            let word = finding.verdict.word.padding(to: 8)
            let shown =
                switch finding.verdict {
                case .fail: console.style(word, .red)
                case .pass: console.style(word, .green)
                case .allowed: console.style(word, .yellow)
                case .notAsked: word
                }
            for (index, line) in finding.evidence.map(Printable.line).enumerated() {
                let start = index == 0 ? "\(shown) \(finding.code.rawValue.padding(to: width))" : ""
                lines.append(index == 0 ? "\(start)  \(line)" : String(repeating: " ", count: width + 11) + line)
            }
        }
        if error == nil { lines += ["", "\(explanation.path) may be overwritten"] }
        return lines.joined(separator: "\n")
    }
}

extension Explanation.Verdict {
    /// For a person.
    fileprivate var word: String {
        switch self {
        case .pass: "pass"
        case .fail: "FAIL"
        case .allowed: "allowed"
        case .notAsked: "-"
        }
    }
}

/// `explain --json`. Every key is always there.
private struct ExplanationRecord: Encodable {
    struct Rule: Encodable {
        let code: ErrorCode
        let verdict: Explanation.Verdict
        let evidence: [String]
        let overridable: Bool
    }

    let path: String
    /// Whether it may be overwritten.
    let writable: Bool
    let rules: [Rule]
    @Nullable var disk: Disk?
    @Nullable var error: FlashRecord.Failure?
    @Nullable var advice: String?

    /// Of what no one disk answers to.
    init(of device: String, _ error: FlashlayerError) {
        path = device
        writable = false
        rules = []
        disk = nil
        self.error = FlashRecord.Failure(error)
        advice = error.advice
    }

    init(_ explanation: Explanation, _ error: FlashlayerError?) {
        path = explanation.path
        writable = error == nil
        rules = explanation.findings.map {
            Rule(code: $0.code, verdict: $0.verdict, evidence: $0.evidence, overridable: $0.overridable)
        }
        disk = explanation.disk
        self.error = error.map(FlashRecord.Failure.init)
        advice = error?.advice
    }
}
