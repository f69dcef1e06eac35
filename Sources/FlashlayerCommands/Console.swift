// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Model
import Synchronization

/// What a person sees: everything goes to standard error, so that standard output holds nothing but the answer.
///
/// On a terminal the last lines are a status that is redrawn in place; elsewhere it is left out, and whoever reports
/// progress prints a plain line now and then.
final class Console: Sendable {
    private struct State {
        /// The lines at the bottom of the terminal, as they were drawn.
        var status: [String] = []
        var log: LogFile?
    }

    let isTerminal: Bool
    let usesColor: Bool
    let isQuiet: Bool
    /// How often `-v` was given.
    let verbosity: Int
    private let state: Mutex<State>

    init(_ options: CommonOptions) throws {
        isTerminal = isatty(2) == 1
        let environment = ProcessInfo.processInfo.environment
        switch options.color {
        case .always: usesColor = true
        case .never: usesColor = false
        case .auto:
            usesColor = isTerminal && environment["NO_COLOR", default: ""].isEmpty && environment["TERM"] != "dumb"
        }
        isQuiet = options.quiet
        verbosity = options.verbose
        let log = try options.log.map { try LogFile($0) }
        state = Mutex(State(log: log))
    }

    /// One line of news. Not shown with `--quiet`.
    func say(_ line: String) {
        show(line, unless: isQuiet)
    }

    /// Shown with `-v` only.
    func detail(_ line: String) {
        show(line, unless: verbosity == 0)
    }

    /// Shown even with `--quiet`.
    func warn(_ line: String) {
        show(style("warning: ", .yellow) + line, unless: false)
    }

    /// One target of several that failed, shown even with `--quiet`; the last word of the command is another.
    func fail(_ error: FlashlayerError, about name: String) {
        let message = error.message.contains(name) ? error.message : "\(name): \(error.message)"
        let advice = error.advice.map { "\n  \($0)" } ?? ""
        show(style("error: ", .red) + "\(message) [\(error.code.rawValue)]\(advice)", unless: false)
    }

    /// Redraws the line at the bottom of a terminal; nothing elsewhere.
    func status(_ line: String) {
        status([line])
    }

    /// Redraws the lines at the bottom of a terminal; nothing elsewhere. Each is cut to the terminal's width, and those
    /// that find no room are counted.
    func status(_ lines: [String]) {
        guard isTerminal, !isQuiet else { return }
        let (width, height) = Self.size
        var lines = lines.map { String($0.prefix(width)) }
        let room = max(1, height - 1)
        if lines.count > room {
            let hidden = lines.count - room + 1
            lines = lines.prefix(room - 1) + [String("and \(hidden) more".prefix(width))]
        }
        state.withLock { state in
            Self.write(StatusLines.redrawing(state.status, as: lines, width: width))
            state.status = lines
        }
    }

    /// Columns of the terminal that a line may fill.
    var width: Int { Self.size.width }

    func clearStatus() {
        state.withLock { Self.clear(&$0) }
    }

    enum Style: String {
        case bold = "1"
        case red = "31"
        case green = "32"
        case yellow = "33"
    }

    func style(_ text: String, _ style: Style) -> String {
        usesColor ? "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m" : text
    }

    /// The answer of a command: standard output, always.
    static func answer(_ text: String) {
        guard let error = write(text + "\n", to: 1) else { return }
        // Only the first counts; whoever has gone away does not miss the rest.
        if error.value != EPIPE { unanswered.withLock { $0 = $0 ?? error } }
    }

    /// Whether anybody still reads standard output: of a pipe that was closed nothing else tells, unless it is written to.
    static var isHeard: Bool {
        var entry = pollfd(fd: 1, events: 0, revents: 0)
        return unsafe poll(&entry, 1, 0) <= 0 || entry.revents & Int16(POLLERR | POLLHUP | POLLNVAL) == 0
    }

    private static let unanswered = Mutex<Errno?>(nil)

    /// Whether the answer has arrived: a list that was cut off by a full disk must not look like a whole one.
    ///
    /// - Throws: `no-space`, `cannot-create`.
    static func checkAnswer() throws {
        guard let error = unanswered.withLock({ $0 }) else { return }
        throw FlashlayerError.system("write to standard output", error, code: .cannotCreate)
    }

    /// The last word of a program that failed.
    static func report(_ error: FlashlayerError) {
        write(lastWord(error) + "\n")
    }

    /// Puts the error that ends the command into the log; `report` shows it.
    func record(_ error: FlashlayerError) {
        state.withLock { state in
            Self.clear(&state)
            state.log?.append(Self.lastWord(error))
        }
    }

    private static func lastWord(_ error: FlashlayerError) -> String {
        "flashlayer: \(error.message) [\(error.code.rawValue)]" + (error.advice.map { "\n  \($0)" } ?? "")
    }

    private func show(_ line: String, unless hidden: Bool) {
        state.withLock { state in
            state.log?.append(line)
            guard !hidden else { return }
            Self.clear(&state)
            Self.write(line + "\n")
        }
    }

    private static func clear(_ state: inout State) {
        guard !state.status.isEmpty else { return }
        write(StatusLines.redrawing(state.status, as: [], width: size.width))
        state.status = []
    }

    /// The last column stays free, so that no line wraps.
    private static var size: (width: Int, height: Int) {
        var size = winsize()
        // SAFETY: TIOCGWINSZ fills the structure it is given; see ioctl_tty(2).
        let failed = unsafe withUnsafeMutablePointer(to: &size) { unsafe ioctl(2, UInt(TIOCGWINSZ), $0) } != 0
        let width = failed || size.ws_col < 2 ? 80 : Int(size.ws_col)
        return (width - 1, failed || size.ws_row == 0 ? 24 : Int(size.ws_row))
    }

    /// - Returns: why not all of it could be written; nil when it was.
    @discardableResult
    static func write(_ text: some StringProtocol, to descriptor: Int32 = 2) -> Errno? {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return .current }
            bytes = bytes.dropFirst(count)
        }
        return nil
    }
}
