// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Model

/// What a user knows of a disk, in one argument: `serial=4C53*,transport=usb,size>=7G`, the same in Ironic's grammar,
/// `model= <in> ultra`, or Ironic's dictionary as JSON. All hints have to fit, and exactly one disk.
package struct DiskHints: Sendable {
    struct Hint: Sendable {
        let key: HintKey
        let condition: HintCondition
        /// As the user wrote it.
        let text: String

        func fits(_ disk: Disk) -> Bool {
            switch key.kind {
            case .text: condition.holds(of: key.texts(of: disk))
            case .size: condition.holds(of: disk.size)
            case .flag: condition == .flag(key.flag(of: disk))
            }
        }

        /// "serial is 4C530001": what the disk has instead.
        func finding(on disk: Disk) -> String {
            let value: String? =
                switch key.kind {
                case .text: key.texts(of: disk).first
                case .size: "\(disk.size) bytes (\(ByteSize.describe(disk.size)))"
                case .flag: key.flag(of: disk) ? "yes" : "no"
                }
            return "\(key.rawValue) is \(value.map(Printable.line) ?? "not known")"
        }
    }

    /// The argument.
    package let text: String
    let hints: [Hint]

    /// Whether an argument is meant as hints and not as a path. Paths of devices begin with a slash or a dot; a lone
    /// key is one whose operator a shell has taken.
    package static func isMeant(by argument: String) -> Bool {
        guard let first = argument.first, first != "/", first != "." else { return false }
        return argument.contains { "=<>!,{".contains($0) } || HintKey(argument) != nil
    }

    /// - Throws: `usage`.
    package init(_ text: String) throws {
        self.text = text
        hints =
            text.trimmingSpaces().hasPrefix("{")
            ? try Self.dictionary(text) : try Self.parts(of: text).map { try Self.hint($0) }
    }

    package func fits(_ disk: Disk) -> Bool {
        hints.allSatisfy { $0.fits(disk) }
    }

    /// The one disk that fits.
    ///
    /// - Throws: `ambiguous`, with all that fit; `notFound`, with those that nearly do.
    package func choose(from disks: [Disk]) throws -> Disk {
        let fitting = disks.filter(fits)
        if let only = fitting.first, fitting.count == 1 { return only }
        guard fitting.isEmpty else {
            let paths = fitting.map(\.path).joined(separator: ", ")
            throw FlashlayerError(
                .ambiguous,
                "the hints '\(Printable.line(text))' fit \(fitting.count) disks: \(paths)",
                advice: Self.shown(fitting.map(Self.name))
                    + "\n  add a hint that only one of them fits, or name its path"
            )
        }
        throw FlashlayerError(.notFound, "no disk fits the hints '\(Printable.line(text))'", advice: nearMisses(disks))
    }

    /// Which hint keeps those disks out that the fewest keep out.
    private func nearMisses(_ disks: [Disk]) -> String {
        let missed = disks.map { disk in (disk: disk, hints: hints.filter { !$0.fits(disk) }) }
        guard let least = missed.map(\.hints.count).min() else { return "there is no disk in this machine" }
        let nearest = missed.filter { $0.hints.count == least }.map { disk, hints -> String in
            let findings = hints.map { "\($0.finding(on: disk)), not '\(Printable.line($0.text))'" }
            return "\(disk.path): " + findings.joined(separator: "; ")
        }
        return Self.shown(nearest) + "\n  'flashlayer devices --all' shows every disk"
    }

    private static func name(_ disk: Disk) -> String {
        let maker = [disk.vendor, disk.model].compactMap { $0 }.joined(separator: " ")
        let serial = disk.serial.map { "serial \($0)" }
        let words = [ByteSize.describe(disk.size), maker, serial, disk.port.map { "port \($0)" }]
        return Printable.line(
            "\(disk.path): " + words.compactMap { $0 }.filter { !$0.isEmpty }.joined(separator: ", ")
        )
    }

    private static func shown(_ lines: [String]) -> String {
        let most = 8
        let rest = lines.count > most ? ["and \(lines.count - most) more"] : []
        return (lines.prefix(most) + rest).joined(separator: "\n  ")
    }

    // MARK: - Reading

    /// Between commas; `\,` is a comma of a value.
    private static func parts(of text: String) throws -> [String] {
        var parts = [""]
        var isEscaped = false
        for character in text {
            if isEscaped {
                parts[parts.count - 1] += character == "," ? "," : "\\\(character)"
                isEscaped = false
            } else if character == "\\" {
                isEscaped = true
            } else if character == "," {
                parts.append("")
            } else {
                parts[parts.count - 1].append(character)
            }
        }
        if isEscaped { parts[parts.count - 1].append("\\") }
        return parts.map { $0.trimmingSpaces() }
    }

    private static func hint(_ text: String) throws -> Hint {
        guard !text.isEmpty else {
            throw FlashlayerError(.usage, "there is an empty hint between commas", advice: HintFault.example)
        }
        let word = text.prefix { !"=<>!".contains($0) }.trimmingSpaces()
        let rest = text.drop { !"=<>!".contains($0) }
        let operation = ["==", "!=", "<=", ">=", "=", "<", ">"].first { rest.hasPrefix($0) }
        guard let operation else { throw HintFault.noOperator(word).error }
        let key = try key(word)
        let value = String(rest.dropFirst(operation.count))
        guard !value.allSatisfy(\.isWhitespace) else { throw HintFault.noValue(word, operation).error }
        if operation == "=", let expression = IronicExpression(value, for: key) {
            return Hint(key: key, condition: try expression.condition(), text: text)
        }
        return Hint(key: key, condition: try condition(key, operation, value.trimmingSpaces(), text), text: text)
    }

    private static func key(_ word: String) throws -> HintKey {
        if let key = HintKey(word) { return key }
        let keys = HintKey.allCases.map(\.rawValue)
        let near = NearMiss.of(word, among: keys).map { ": did you mean '\($0)'?" } ?? ""
        throw FlashlayerError(
            .usage,
            "there is no hint '\(Printable.line(word))'\(near)",
            advice: "the hints are \(keys.joined(separator: ", "))"
        )
    }

    /// In our own form: patterns, sizes with units, ranges.
    private static func condition(_ key: HintKey, _ operation: String, _ value: String, _ text: String) throws
        -> HintCondition
    {
        let isEquality = ["=", "==", "!="].contains(operation)
        func wrong(_ what: String, _ advice: String) -> FlashlayerError {
            FlashlayerError(.usage, "the hint '\(Printable.line(text))' \(what)", advice: advice)
        }
        switch key.kind {
        case .text:
            guard isEquality else {
                throw wrong("compares a text by '\(operation)'", "use \(key.rawValue)=PATTERN, or Ironic's s< and s>")
            }
            return .glob(value, isNegated: operation == "!=")
        case .flag:
            guard isEquality, let flag = flag(value) else {
                throw wrong("is neither yes nor no", "write \(key.rawValue)=yes or \(key.rawValue)=no")
            }
            return .flag(operation == "!=" ? !flag : flag)
        case .size:
            func bytes(_ word: some StringProtocol) throws -> Double {
                guard let bytes = ByteSize.parse(word.trimmingSpaces()) else {
                    throw wrong("has no size", "write size>=7G or size=7G..33G; G is 2^30, GB is 10^9 bytes")
                }
                return Double(bytes)
            }
            if isEquality, let dots = value.splitAtDots {
                let lower = dots.0.isEmpty ? 0 : try bytes(dots.0)
                let upper = dots.1.isEmpty ? Double.infinity : try bytes(dots.1)
                guard operation != "!=", lower <= upper, !(dots.0.isEmpty && dots.1.isEmpty) else {
                    throw wrong("is no range", "write size=7G..33G, size=7G.. or size=..33G")
                }
                return .sizeRange(lower: lower, includesLower: true, upper: upper, includesUpper: true)
            }
            let comparison = HintCondition.Comparison(rawValue: operation) ?? .equal
            return .size(comparison, try bytes(value))
        }
    }

    /// The words that Ironic takes.
    private static func flag(_ word: String) -> Bool? {
        switch word.lowercased() {
        case "1", "t", "true", "on", "y", "yes": true
        case "0", "f", "false", "off", "n", "no": false
        default: nil
        }
    }

    // MARK: - Ironic's dictionary

    private static func dictionary(_ text: String) throws -> [Hint] {
        let values: [String: IronicValue]
        do {
            values = try JSONDecoder().decode([String: IronicValue].self, from: Data(text.utf8))
        } catch {
            throw FlashlayerError(
                .usage,
                "the hints are no JSON object of texts, numbers and booleans",
                advice: #"write '{"size": ">= 7", "rotational": false}'"#
            )
        }
        // A reader of JSON keeps one of two, and says nothing.
        if let twice = JSONKeys.repeated(in: text) {
            throw FlashlayerError(
                .usage,
                "the hints name '\(Printable.line(twice))' twice",
                advice: "write each key once"
            )
        }
        guard !values.isEmpty else {
            throw FlashlayerError(.usage, "there is no hint in '\(text)'", advice: HintFault.example)
        }
        return try values.sorted { $0.key < $1.key }.map { word, value in
            let key = try key(word)
            let shown = "\(word)=\(value.text)"
            func wrong(_ what: String) -> FlashlayerError {
                FlashlayerError(.usage, "the hint '\(Printable.line(shown))' \(what)")
            }
            switch (key.kind, value) {
            case (.flag, _):
                guard let flag = flag(value.text) else { throw wrong("is neither true nor false") }
                return Hint(key: key, condition: .flag(flag), text: shown)
            case (.text, .text), (.size, .text), (.size, .number):
                let expression =
                    IronicExpression(value.text, for: key) ?? IronicExpression(equalTo: value.text, for: key)
                return Hint(key: key, condition: try expression.condition(), text: shown)
            default: throw wrong("is not a text")
            }
        }
    }

    private enum IronicValue: Decodable {
        case text(String)
        case number(Double)
        case flag(Bool)

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let flag = try? container.decode(Bool.self) {
                self = .flag(flag)
            } else if let number = try? container.decode(Double.self) {
                self = .number(number)
            } else {
                self = .text(try container.decode(String.self))
            }
        }

        var text: String {
            switch self {
            case .text(let text): text
            case .flag(let flag): "\(flag)"
            // A large number has no exponent: Ironic's sizes are whole.
            case .number(let number):
                Int(exactly: number).map { "\($0)" } ?? "\(number)"
            }
        }
    }
}

/// What is wrong with hints of which a part is missing: mostly a shell took it.
enum HintFault {
    case noOperator(String)
    case noValue(String, String)

    static let example = "write for example 'serial=4C53*,transport=usb,size=7G..33G', in quotes"

    var error: FlashlayerError {
        switch self {
        case .noOperator(let word):
            let isKey = HintKey(word) != nil
            return FlashlayerError(
                .usage,
                "the hint '\(Printable.line(word))' has no operator" + (isKey ? ": it was eaten by the shell" : ""),
                advice: isKey
                    ? "a shell takes > and < for itself: put the hints in quotes, '\(word)>=7G'" : Self.example
            )
        case .noValue(let word, let operation):
            return FlashlayerError(
                .usage,
                "the hint '\(Printable.line(word)) \(operation)' has no value: it was eaten by the shell",
                advice: "a shell takes >, < and spaces for itself: put the hints in quotes, '\(word)=...'"
            )
        }
    }
}

extension String {
    /// The two sides of `..`; nil where there is none.
    fileprivate var splitAtDots: (Substring, Substring)? {
        var index = startIndex
        while let dot = self[index...].firstIndex(of: ".") {
            let next = self.index(after: dot)
            if next < endIndex, self[next] == "." { return (self[..<dot], self[self.index(after: next)...]) }
            index = next
        }
        return nil
    }
}
