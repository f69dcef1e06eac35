// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
package import Layers
import Model

/// The outcomes of a boot test as JUnit XML, which every CI shows: a suite for each firmware, in it a case for the boot,
/// one for each unit and one for each command. Elements and attributes are those that the schema of Ant's JUnit task
/// asks for, in its order.
package struct JUnitReport {
    private let image: String
    private let outcomes: [BootTest.Outcome]
    private let assertions: [BootAssertion]

    package init(image: String, outcomes: [BootTest.Outcome], assertions: [BootAssertion]) {
        self.image = image
        self.outcomes = outcomes
        self.assertions = assertions
    }

    package var xml: String {
        var lines = ["<?xml version=\"1.0\" encoding=\"UTF-8\"?>", "<testsuites>"]
        for (index, outcome) in outcomes.enumerated() { lines += suite(outcome, index) }
        return (lines + ["</testsuites>", ""]).joined(separator: "\n")
    }

    private struct Case {
        enum Result {
            case passed
            case failed(message: String, text: String)
            case skipped(String)
        }

        let name: String
        let seconds: Double
        let result: Result
    }

    private func cases(_ outcome: BootTest.Outcome) -> [Case] {
        let text = outcome.report == nil ? (outcome.error?.message ?? "") : (outcome.bootComplaint ?? "")
        let boot = Case(
            name: "boot",
            seconds: outcome.seconds,
            result: outcome.bootComplaint.map { .failed(message: $0, text: text) } ?? .passed
        )
        return [boot]
            + assertions.map { assertion in
                let check = outcome.report?.checks.first { $0.assertion == assertion }
                let result: Case.Result =
                    switch check {
                    case nil: .skipped("the system did not come up")
                    case let check?:
                        check.complaint.map {
                            .failed(message: $0.split(separator: "\n").first.map(String.init) ?? $0, text: check.output)
                        } ?? .passed
                    }
                return Case(name: assertion.title, seconds: check?.seconds ?? 0, result: result)
            }
    }

    private func suite(_ outcome: BootTest.Outcome, _ index: Int) -> [String] {
        let cases = cases(outcome)
        let name = "\(image) (\(outcome.firmware.title))"
        let failures = cases.count { if case .failed = $0.result { true } else { false } }
        let skipped = cases.count { if case .skipped = $0.result { true } else { false } }
        let attributes = [
            ("name", name), ("package", "flashlayer.boot-test"), ("id", "\(index)"), ("tests", "\(cases.count)"),
            ("failures", "\(failures)"), ("errors", "0"), ("skipped", "\(skipped)"),
            ("time", Self.decimal(outcome.seconds)), ("timestamp", Self.timestamp(outcome.start)),
            ("hostname", Self.hostName),
        ]
        var lines = ["  <testsuite\(Self.text(attributes))>", "    <properties>"]
        let properties = [
            ("image", image), ("firmware", outcome.firmware.rawValue), ("accelerator", outcome.accelerator.rawValue),
            ("kernel", outcome.report?.kernel ?? ""), ("state", outcome.report?.state ?? ""),
        ]
        lines += properties.map { "      <property\(Self.text([("name", $0.0), ("value", $0.1)]))/>" }
        lines.append("    </properties>")
        for item in cases { lines += element(item, class: "boot-test.\(outcome.firmware.rawValue)") }
        lines.append("    <system-out>\(Self.escaped("serial console: \(outcome.serialLog)"))</system-out>")
        return lines + ["    <system-err></system-err>", "  </testsuite>"]
    }

    private func element(_ item: Case, class name: String) -> [String] {
        let attributes = [("classname", name), ("name", item.name), ("time", Self.decimal(item.seconds))]
        let head = "    <testcase\(Self.text(attributes))"
        switch item.result {
        case .passed:
            return [head + "/>"]
        case .skipped(let why):
            return [head + ">", "      <skipped\(Self.text([("message", why)]))/>", "    </testcase>"]
        case .failed(let message, let text):
            let failure = Self.text([("message", message), ("type", ErrorCode.bootFailed.rawValue)])
            return [head + ">", "      <failure\(failure)>\(Self.escaped(text))</failure>", "    </testcase>"]
        }
    }

    // MARK: - XML

    private static func text(_ attributes: [(String, String)]) -> String {
        attributes.map { " \($0.0)=\"\(escaped($0.1, inAttribute: true))\"" }.joined()
    }

    /// What XML cannot hold at all, escaped or not, becomes U+FFFD: see "Characters" in XML 1.0.
    static func escaped(_ text: String, inAttribute: Bool = false) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            // A parser would make blanks of them, or drop a carriage return.
            case "\n" where inAttribute, "\t" where inAttribute, "\r": escaped += "&#\(scalar.value);"
            case "\n", "\t", "\u{20}"..."\u{D7FF}", "\u{E000}"..."\u{FFFD}", "\u{10000}"..."\u{10FFFF}":
                escaped.unicodeScalars.append(scalar)
            default: escaped += "\u{FFFD}"
            }
        }
        return escaped
    }

    /// Seconds with three digits behind the point, whatever the locale.
    private static func decimal(_ seconds: Double) -> String {
        let thousandths = Int((max(0, seconds) * 1000).rounded())
        let fraction = String(thousandths % 1000)
        return "\(thousandths / 1000)." + String(repeating: "0", count: 3 - fraction.count) + fraction
    }

    /// In UTC, and without saying so: the schema allows no time zone.
    private static func timestamp(_ time: Int) -> String {
        String(Date(timeIntervalSince1970: Double(time)).ISO8601Format().prefix { $0 != "Z" })
    }

    private static var hostName: String {
        let text = FileManager.default.contents(atPath: "/proc/sys/kernel/hostname") ?? Data()
        let name = String(decoding: text, as: UTF8.self).filter { !$0.isWhitespace }
        return name.isEmpty ? "localhost" : name
    }
}

extension BootAssertion {
    /// One line, for a list.
    fileprivate var title: String {
        switch self {
        case .unit(let name): "unit \(name)"
        case .command(let text):
            "command \(text.split(whereSeparator: \.isNewline).joined(separator: "; "))"
        }
    }
}
