// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// The value of a hint in the grammar of OpenStack Ironic's root device hints, `>= 7`, `s== Foo`, `<or> a <or> b`. See
/// https://docs.openstack.org/ironic/latest/install/advanced.html and oslo.utils' `specs_matcher`.
///
/// Sizes without a unit are GiB, as they are there. Deliberately read otherwise, since Ironic's own reading serves
/// nobody: `<or>` of sizes compares numbers, several `<in>` all count, `<all-in>` looks for words in a text.
struct IronicExpression {
    /// Longer ones first: `<` begins many.
    private static let operators = [
        "<range-in>", "<all-in>", "<or>", "<in>", "s==", "s!=", "s<=", "s>=", "s<", "s>", "==", "!=", "<=", ">=", "=",
        "<", ">",
    ]

    let operation: String
    /// What follows the operator, without the space around it.
    let value: String
    let key: HintKey

    /// - Returns: nil when the text has no operator in front.
    init?(_ text: String, for key: HintKey) {
        let text = text.trimmingSpaces()
        guard let operation = Self.operators.first(where: { text.lowercased().hasPrefix($0) }) else { return nil }
        self.operation = operation
        self.key = key
        value = text.dropFirst(operation.count).trimmingSpaces()
    }

    /// A value of a dictionary of hints: without an operator it has to be equal.
    init(equalTo text: String, for key: HintKey) {
        self.key = key
        value = text.trimmingSpaces()
        operation = key.kind == .size ? "==" : "s=="
    }

    /// - Throws: `usage`.
    func condition() throws -> HintCondition {
        guard !value.isEmpty else { throw HintFault.noValue(key.rawValue, operation).error }
        switch key.kind {
        case .flag: throw wrong("takes yes or no, and no operator", "\(key.rawValue)=no")
        case .size: return try sizeCondition()
        case .text: return try textCondition()
        }
    }

    private func textCondition() throws -> HintCondition {
        switch operation {
        case "<in>": return .contains(try parts)
        case "<all-in>": return .contains(value.split(whereSeparator: \.isWhitespace).map(String.init))
        case "<or>": return .isOneOf(try parts)
        case _ where operation.hasPrefix("s"):
            guard let comparison = HintCondition.Comparison(rawValue: String(operation.dropFirst())) else { break }
            return .text(comparison, value)
        default: break
        }
        throw wrong("compares numbers by '\(operation)'", "texts are compared by s==, s!=, <in> and <or>")
    }

    private func sizeCondition() throws -> HintCondition {
        switch operation {
        case "<or>": return .sizeIsOneOf(try parts.map { try bytes($0) })
        case "<range-in>": return try range()
        // Ironic's own reading of a lone equals sign, kept there and here for old hints.
        case "=": return .size(.atLeast, try bytes(value))
        default:
            guard let comparison = HintCondition.Comparison(rawValue: operation) else {
                throw wrong(
                    "compares texts by '\(operation)'",
                    "sizes are compared by ==, !=, <=, >=, <, >, <or> and <range-in>"
                )
            }
            return .size(comparison, try bytes(value))
        }
    }

    /// `[ 10 20 )`: square brackets belong to the range, round ones do not. Spaces before brackets may be left out.
    private func range() throws -> HintCondition {
        var inner = value[...]
        guard let open = inner.popFirst(), let close = inner.popLast(), "[(".contains(open), "])".contains(close),
            case let numbers = inner.split(whereSeparator: \.isWhitespace).map(String.init), numbers.count == 2
        else { throw wrong("cannot be read", "<range-in> [ 7 33 ] has two sizes between brackets") }
        let (lower, upper) = (try bytes(numbers[0]), try bytes(numbers[1]))
        guard lower <= upper else { throw wrong("ends before it begins", "<range-in> [ 7 33 ]") }
        return .sizeRange(lower: lower, includesLower: open == "[", upper: upper, includesUpper: close == "]")
    }

    /// The values between operators; an operator with nothing behind it at the end is forgiven, as Ironic does.
    private var parts: [String] {
        get throws {
            let all = value.splitting(at: operation).map { $0.trimmingSpaces() }.filter { !$0.isEmpty }
            guard !all.isEmpty else { throw HintFault.noValue(key.rawValue, operation).error }
            return all
        }
    }

    private func bytes(_ text: String) throws -> Double {
        if let gibibytes = Double(text), gibibytes.isFinite, gibibytes >= 0 {
            return gibibytes * Double(ByteSize.gibibyte)
        }
        guard let bytes = ByteSize.parse(text) else {
            throw wrong("has no size '\(text)'", "write '\(operation) 7' for 7 GiB, or a unit: '\(operation) 7G'")
        }
        return Double(bytes)
    }

    private func wrong(_ what: String, _ advice: String) -> FlashlayerError {
        FlashlayerError(.usage, "the hint '\(key.rawValue)= \(operation) \(value)' \(what)", advice: advice)
    }
}

extension String {
    /// The parts between occurrences of a word in any case.
    fileprivate func splitting(at word: String) -> [String] {
        var parts = [""]
        var rest = self[...]
        while !rest.isEmpty {
            if rest.prefix(word.count).lowercased() == word {
                parts.append("")
                rest = rest.dropFirst(word.count)
            } else {
                parts[parts.count - 1].append(rest.removeFirst())
            }
        }
        return parts
    }
}
