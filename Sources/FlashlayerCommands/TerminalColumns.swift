// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// How many columns of a terminal a text fills: letters of East Asia two, marks that sit on another letter none. See
/// Unicode's annexes 11 (East Asian Width) and 44; wcwidth(3) knows it only in a locale that may not be there.
enum TerminalColumns {
    static func of(_ text: String) -> Int {
        text.reduce(0) { $0 + of($1) }
    }

    static func of(_ character: Character) -> Int {
        let scalars = character.unicodeScalars
        // A selector that asks for the picture of a sign makes it as wide as pictures are.
        if scalars.contains("\u{FE0F}") { return 2 }
        return scalars.reduce(0) { $0 + of($1) }
    }

    private static func of(_ scalar: Unicode.Scalar) -> Int {
        switch scalar.properties.generalCategory {
        case .nonspacingMark, .enclosingMark: return 0
        default: break
        }
        // Vowels and final consonants of Hangul stand in the syllable before them.
        if (0x1160...0x11FF).contains(scalar.value) { return 0 }
        return wide.contains { $0.contains(scalar.value) } ? 2 : 1
    }

    private static let wide: [ClosedRange<UInt32>] = [
        0x1100...0x115F, 0x231A...0x231B, 0x2329...0x232A, 0x23E9...0x23EC, 0x2614...0x2615, 0x2648...0x2653,
        0x26AA...0x26AB, 0x26BD...0x26BE, 0x2705...0x2705, 0x270A...0x270B, 0x274C...0x274C, 0x2753...0x2757,
        0x2E80...0x303E, 0x3041...0x33FF, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xA000...0xA4CF, 0xA960...0xA97F,
        0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE10...0xFE19, 0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6,
        0x16FE0...0x18AFF, 0x1B000...0x1B2FF, 0x1F004...0x1F004, 0x1F0CF...0x1F0CF, 0x1F18E...0x1F18E,
        0x1F191...0x1F19A, 0x1F200...0x1F320, 0x1F32D...0x1F64F, 0x1F680...0x1F6FF, 0x1F7E0...0x1F7EB,
        0x1F900...0x1FAFF, 0x20000...0x3FFFD,
    ]

    /// The text in exactly so many columns: filled with spaces, or cut with an ellipsis.
    static func fit(_ text: String, _ width: Int) -> String {
        let columns = of(text)
        guard columns > width else { return text + String(repeating: " ", count: width - columns) }
        guard width > 0 else { return "" }
        let kept = prefix(of: text, width - 1)
        return kept + "…" + String(repeating: " ", count: max(0, width - 1 - of(kept)))
    }

    /// As much of the beginning as fills at most so many columns.
    static func prefix(of text: String, _ width: Int) -> String {
        var room = width
        return String(
            text.prefix { character in
                room -= of(character)
                return room >= 0
            }
        )
    }
}
