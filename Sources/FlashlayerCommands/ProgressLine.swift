// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Flashing
import Model

/// How far a long piece of work is, for a person: a bar, the share, the rate, the time left.
struct ProgressLine: Sendable {
    /// Columns; none of it where a line has little room.
    private static let barWidth = 24
    private static let roomForBar = 90

    private var samples: [(time: ContinuousClock.Instant, bytes: UInt64)] = []

    /// - Parameters:
    ///   - title: what is being done, such as "write".
    ///   - width: columns that there are; the bar is left out where the rest needs them.
    mutating func line(_ title: String, done: UInt64, total: UInt64?, width: Int = .max) -> String {
        let now = ContinuousClock.now
        samples.append((now, done))
        // The rate of the last ten seconds: what is happening now, without the jitter of single requests.
        while samples.count > 2, now - samples[0].time > .seconds(10) { samples.removeFirst() }
        guard let total else {
            let rate = bytesPerSecond.map { "  \(Self.describe(rate: $0))" } ?? ""
            return "\(title.padding(to: 7)) \(ByteSize.describe(done))\(rate)"
        }
        let share = total == 0 ? 1 : min(1, Double(done) / Double(total))
        let filled = Int(share * Double(Self.barWidth))
        let bar = String(repeating: "#", count: filled) + String(repeating: "-", count: Self.barWidth - filled)
        var line = title.padding(to: 7) + (width < Self.roomForBar ? "" : " [\(bar)]")
        line += " \(String(Int(share * 100)).padding(to: 3, left: true))%"
        line += "  \(ByteSize.describe(done)) of \(ByteSize.describe(total))"
        if let rate = bytesPerSecond, rate > 0 {
            line += "  \(Self.describe(rate: rate))"
            line += "  \(Self.describe(seconds: Double(total - min(total, done)) / rate)) left"
        }
        return line
    }

    /// Over the last seconds; nil until there is something to go by.
    var bytesPerSecond: Double? {
        guard let first = samples.first, let last = samples.last else { return nil }
        let seconds = (last.time - first.time).seconds
        return seconds >= 0.2 && last.bytes >= first.bytes ? Double(last.bytes - first.bytes) / seconds : nil
    }

    mutating func restart() {
        samples = []
    }

    static func describe(rate: Double) -> String {
        "\(ByteSize.describe(UInt64(max(0, rate))))/s"
    }

    static func describe(seconds: Double) -> String {
        let total = Int(seconds.rounded(.up))
        switch total {
        case ..<60: return "\(total) s"
        case ..<3600: return "\(total / 60) min \(total % 60) s"
        default: return "\(total / 3600) h \(total / 60 % 60) min"
        }
    }
}

extension Duration {
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}

extension String {
    func padding(to width: Int, left: Bool = false) -> String {
        let space = String(repeating: " ", count: max(0, width - count))
        return left ? space + self : self + space
    }
}
