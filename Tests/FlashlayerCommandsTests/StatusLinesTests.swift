// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Flashing
import Model
import Testing

@testable import FlashlayerCommands

/// As much of a terminal as the status needs: wrapping, carriage return, line feed, cursor up, erase to the end.
private struct Terminal {
    let width: Int
    private(set) var rows: [[Character]] = [[]]
    private var row = 0
    private var column = 0

    init(width: Int) {
        self.width = width
    }

    /// What a terminal that wraps its lines anew shows when it is made narrower; the cursor stands at the end.
    func narrowed(to width: Int) -> Terminal {
        var terminal = Terminal(width: width)
        terminal.write(lines.joined(separator: "\n"))
        return terminal
    }

    var lines: [String] { rows.map { String($0) } }

    mutating func write(_ text: String) {
        var rest = text[...]
        while let character = rest.popFirst() {
            switch character {
            case "\r": column = 0
            case "\n": move(to: row + 1)
            case "\u{1B}":
                let sequence = rest.prefix { !$0.isLetter }
                rest = rest[sequence.endIndex...]
                let number = Int(sequence.dropFirst()) ?? 1
                switch rest.popFirst() {
                case "A": row = max(0, row - number)
                case "J":
                    rows[row].removeSubrange(min(column, rows[row].count)...)
                    rows.removeSubrange((row + 1)...)
                case let other: Issue.record("this terminal does not know \(other.map(String.init) ?? "")")
                }
            default:
                if column == width { move(to: row + 1) }
                if column < rows[row].count { rows[row][column] = character } else { rows[row].append(character) }
                column += 1
            }
        }
    }

    private mutating func move(to next: Int) {
        row = next
        column = 0
        while rows.count <= row { rows.append([]) }
    }
}

@Suite("The status at the bottom of a terminal")
struct StatusLinesTests {
    @Test("is redrawn in place, with more lines and fewer, and what was said above it stays")
    func redraws() {
        var terminal = Terminal(width: 40)
        terminal.write("said before\n")
        var drawn: [String] = []
        for lines in [["one"], ["one", "two", "three"], ["1", "2", "3"], ["longer than before", "2"], []] {
            terminal.write(StatusLines.redrawing(drawn, as: lines, width: 39))
            drawn = lines
            #expect(terminal.lines == ["said before"] + (lines.isEmpty ? [""] : lines))
        }
        terminal.write("said after\n")
        #expect(terminal.lines == ["said before", "said after", ""])
    }

    @Test("leaves nothing behind when the terminal was made narrower in between", arguments: [5, 10, 13, 20, 30])
    func narrower(width: Int) {
        var terminal = Terminal(width: 31)
        terminal.write("said\n")
        let lines = ["/dev/sdb write 12%", String(repeating: "x", count: 30), ""]
        terminal.write(StatusLines.redrawing([], as: lines, width: 30))
        terminal = terminal.narrowed(to: width)
        terminal.write(StatusLines.redrawing(lines, as: ["new"], width: width - 1))
        #expect(terminal.lines == ["said", "new"])
    }

    @Test("a line with little room has the figures and no bar")
    func little() {
        var progress = ProgressLine()
        #expect(progress.line("write", done: 5 << 20, total: 10 << 20).contains("[############------------]  50%"))
        let narrow = progress.line("write", done: 5 << 20, total: 10 << 20, width: 60)
        #expect(narrow == "write    50%  5 MiB of 10 MiB")
        #expect(progress.line("write", done: 5 << 20, total: nil, width: 60).hasPrefix("write   5 MiB"))
        #expect(progress.line("write", done: 11 << 20, total: 10 << 20).contains("100%"), "more than expected")
    }
}

@Suite("The end of a command with several targets")
struct FlashVerdictTests {
    @Test(
        "is the worst of them: our own fault, then the device, the image, a refusal, a busy disk",
        arguments: [
            ([.fault, .ioError], .fault), ([.badImage, .verifyFailed], .verifyFailed),
            ([.mounted, .badImage], .badImage),
            ([.busy, .mounted], .mounted), ([.busy, nil], .busy), ([nil, .ioError, nil], .ioError),
            ([.ioError, .interrupted], .interrupted), ([.notFound, .mounted], .mounted), ([nil, nil], nil),
        ] as [([ErrorCode?], ErrorCode?)]
    )
    func worst(codes: [ErrorCode?], worst: ErrorCode?) {
        let results = codes.enumerated().map { index, code in
            ("/dev/sd\(index)", code.map { FlashResult(FlashlayerError($0, "wrong")) } ?? FlashResult(.pass))
        }
        let error = FlashVerdict.worst(of: results, were: "not written", advice: nil)
        #expect(error?.code == worst)
        let failed = codes.filter { $0 != nil }.count
        if let error { #expect(error.message.hasPrefix("\(failed) of \(codes.count) targets w"), "\(error.message)") }
    }

    @Test("of one target it is that target's own error")
    func alone() {
        let error = FlashlayerError(.ioError, "cannot write /dev/sdb", offset: 7)
        #expect(FlashVerdict.worst(of: [("/dev/sdb", FlashResult(error))], were: "not written", advice: "x") == error)
    }
}
