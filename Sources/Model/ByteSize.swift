// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// Sizes that several rooms lean on, in bytes.
package enum ByteSize {
    package static let kibibyte: UInt64 = 1 << 10
    package static let mebibyte: UInt64 = 1 << 20
    package static let gibibyte: UInt64 = 1 << 30

    /// The unit of digests, block maps and buffers.
    package static let chunk: UInt64 = 4 << 20

    /// Reads `7G`, `512M`, `4GB`, `1048576`: G is 2^30, GB is 10^9, GiB is 2^30; no letter means bytes.
    ///
    /// - Returns: nil when the text is not a size or does not fit 64 bits.
    package static func parse(_ text: String) -> UInt64? {
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let unit = text.dropFirst(digits.count)
        let powers: [Character: UInt64] = ["k": 1, "m": 2, "g": 3, "t": 4, "p": 5]
        var multiplier: UInt64 = 1
        if let letter = unit.first?.lowercased().first {
            let tail = unit.dropFirst()
            guard let power = powers[letter] else {
                return letter == "b" && tail.isEmpty ? UInt64(digits) : nil
            }
            guard tail.isEmpty || tail == "B" || tail == "iB" else { return nil }
            let base: UInt64 = tail == "B" ? 1000 : 1024
            multiplier = (0..<power).reduce(1) { product, _ in product * base }
        }
        if digits.contains(".") {
            guard let value = Double(digits), value.isFinite, value * Double(multiplier) < 0x1p63 else { return nil }
            return UInt64(value * Double(multiplier))
        }
        guard let value = UInt64(digits) else { return nil }
        let (product, overflow) = value.multipliedReportingOverflow(by: multiplier)
        return overflow ? nil : product
    }

    /// "1.9 GiB", as a person reads it.
    package static func describe(_ bytes: UInt64) -> String {
        var value = Double(bytes)
        var unit = "B"
        for next in ["KiB", "MiB", "GiB", "TiB", "PiB"] where value >= 1024 {
            value /= 1024
            unit = next
        }
        guard unit != "B" else { return "\(bytes) B" }
        let tenths = Int((value * 10).rounded())
        return tenths >= 1000 || tenths % 10 == 0
            ? "\((tenths + 5) / 10) \(unit)" : "\(tenths / 10).\(tenths % 10) \(unit)"
    }
}

extension UInt64 {
    /// The next multiple of `unit` at or above this number.
    package func roundedUp(to unit: UInt64) -> UInt64 { (self + unit - 1) / unit * unit }
    /// The next multiple of `unit` at or below this number.
    package func roundedDown(to unit: UInt64) -> UInt64 { self / unit * unit }
}
