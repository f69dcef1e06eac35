// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import Model

/// What a hint asks of a value.
enum HintCondition: Sendable, Equatable {
    enum Comparison: String, Sendable {
        case equal = "=="
        case notEqual = "!="
        case less = "<"
        case atMost = "<="
        case greater = ">"
        case atLeast = ">="

        func holds<Value: Comparable>(_ one: Value, _ other: Value) -> Bool {
            switch self {
            case .equal: one == other
            case .notEqual: one != other
            case .less: one < other
            case .atMost: one <= other
            case .greater: one > other
            case .atLeast: one >= other
            }
        }
    }

    /// A pattern of the shell, see fnmatch(3): the whole value, case left out of account.
    case glob(String, isNegated: Bool)
    /// As texts, case left out of account.
    case text(Comparison, String)
    /// All of these are in it somewhere.
    case contains([String])
    case isOneOf([String])
    /// Bytes. Fractions come from sizes in GiB.
    case size(Comparison, Double)
    case sizeIsOneOf([Double])
    /// Bytes; each end may belong to the range or not.
    case sizeRange(lower: Double, includesLower: Bool, upper: Double, includesUpper: Bool)
    case flag(Bool)

    /// - Parameter texts: one value in several spellings. A disk without one fits no condition, not even `!=`, as with
    ///   Ironic.
    func holds(of texts: [String]) -> Bool {
        guard !texts.isEmpty else { return false }
        let texts = texts.map { $0.lowercased().trimmingSpaces() }
        switch self {
        case .glob(let pattern, let isNegated):
            return texts.contains { Self.fits($0, pattern.lowercased()) } != isNegated
        case .text(.notEqual, let wanted): return !texts.contains { Self.isSame($0, wanted) }
        case .text(.equal, let wanted): return texts.contains { Self.isSame($0, wanted) }
        case .text(let comparison, let wanted):
            let wanted = Self.spellings(wanted)[0]
            return texts.contains { comparison.holds(Order($0), Order(wanted)) }
        case .contains(let parts):
            return parts.allSatisfy { part in
                Self.spellings(part).contains { part in texts.contains { $0.contains(part) } }
            }
        case .isOneOf(let wanted): return wanted.contains { each in texts.contains { Self.isSame($0, each) } }
        default: return false
        }
    }

    /// - Parameter size: bytes.
    func holds(of size: UInt64) -> Bool {
        let size = Double(size)
        switch self {
        case .size(let comparison, let wanted): return comparison.holds(size, wanted)
        case .sizeIsOneOf(let wanted): return wanted.contains(size)
        case .sizeRange(let lower, let includesLower, let upper, let includesUpper):
            return (includesLower ? size >= lower : size > lower) && (includesUpper ? size <= upper : size < upper)
        default: return false
        }
    }

    private static func fits(_ text: String, _ pattern: String) -> Bool {
        unsafe fnmatch(pattern, text, 0) == 0
    }

    private static func isSame(_ text: String, _ wanted: String) -> Bool {
        spellings(wanted).contains(text)
    }

    /// A value as it stands, and with its percent signs decoded: both are in use for names with spaces.
    private static func spellings(_ text: String) -> [String] {
        let plain = text.lowercased().trimmingSpaces()
        let decoded = PercentEncoding.decode(plain).lowercased()
        return decoded == plain ? [plain] : [decoded, plain]
    }

    /// Byte for byte, whatever Unicode thinks of the order.
    private struct Order: Comparable {
        let bytes: [UInt8]

        init(_ text: String) {
            bytes = Array(text.utf8)
        }

        static func < (one: Order, other: Order) -> Bool { one.bytes.lexicographicallyPrecedes(other.bytes) }
    }
}

/// How URLs write what is not safe in them: `%20`.
enum PercentEncoding {
    /// What is no valid escape stays as it is.
    static func decode(_ text: String) -> String {
        let source = Array(text.utf8)
        var bytes: [UInt8] = []
        var index = 0
        while index < source.count {
            if source[index] == UInt8(ascii: "%"), index + 2 < source.count,
                let value = UInt8(String(decoding: source[(index + 1)...(index + 2)], as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                index += 3
            } else {
                bytes.append(source[index])
                index += 1
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension StringProtocol {
    func trimmingSpaces() -> String {
        var text = self[...]
        while text.first?.isWhitespace == true { text = text.dropFirst() }
        while text.last?.isWhitespace == true { text = text.dropLast() }
        return String(text)
    }
}
