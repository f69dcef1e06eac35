// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Model

/// One thing that is wrong with a recipe or a layer.
package struct Fault: Codable, Sendable, Hashable {
    package enum Severity: String, Codable, Sendable {
        /// Nothing is built.
        case error
        /// It may well not be meant.
        case warning
    }

    package var severity: Severity
    package var code: ErrorCode
    /// The recipe as the user named it, or a file of a layer, absolute; nil where no file is to blame.
    package var file: String?
    /// Counted from 1.
    package var line: Int?
    package var message: String
    /// What to do about it.
    package var hint: String?

    package init(
        _ severity: Severity,
        _ code: ErrorCode,
        file: String?,
        line: Int?,
        _ message: String,
        hint: String? = nil
    ) {
        self.severity = severity
        self.code = code
        self.file = file
        self.line = line
        self.message = message
        self.hint = hint
    }

    /// An error that ended something; one of a file starts with `FILE:LINE: ` or `FILE:LINE:COLUMN: `.
    init(_ error: FlashlayerError) {
        self.init(.error, error.code, file: nil, line: nil, error.message, hint: error.advice)
        let parts = error.message.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, let line = Int(parts[1]) else { return }
        var rest = parts[2]
        if let end = rest.firstIndex(of: ":"), Int(rest[..<end]) != nil { rest = rest[end...].dropFirst() }
        guard rest.hasPrefix(" ") else { return }
        (file, self.line, message) = (String(parts[0]), line, String(rest.dropFirst()))
    }

    /// `FILE:LINE: `, as far as it is known.
    package var place: String {
        file.map { "\($0.printable):" + (line.map { "\($0):" } ?? "") + " " } ?? ""
    }
}

/// Gathers what is wrong, so that one reading tells all of it, and what was read.
package final class Findings {
    /// What was read of a layer.
    package struct Reading: Codable, Sendable, Equatable {
        package let name: String
        package let path: String
        /// Files and folders, in the layer: that of each part that is there, as it is spelled.
        package let read: [String]
    }

    private var all: [Fault] = []
    private var seen: Set<Fault> = []
    package private(set) var layers: [Reading] = []

    package init() {}

    /// Each once, in the order in which they were found.
    package var faults: [Fault] { all }

    func add(_ fault: Fault) {
        if seen.insert(fault).inserted { all.append(fault) }
    }

    func add(_ reading: Reading) {
        if !layers.contains(reading) { layers.append(reading) }
    }

    func error(_ file: String, _ line: Int, _ message: String, hint: String? = nil) {
        add(Fault(.error, .badLayer, file: file, line: line, message, hint: hint))
    }

    func error(_ file: String, _ message: String, hint: String? = nil) {
        add(Fault(.error, .badLayer, file: file, line: nil, message, hint: hint))
    }

    func warn(_ file: String, _ line: Int, _ message: String, hint: String? = nil) {
        add(Fault(.warning, .badLayer, file: file, line: line, message, hint: hint))
    }

    func warn(_ file: String, _ message: String, hint: String? = nil) {
        add(Fault(.warning, .badLayer, file: file, line: nil, message, hint: hint))
    }

    /// - Returns: nil when it failed, which is then among the faults.
    @discardableResult
    func attempt<Result>(_ body: () throws -> Result) -> Result? {
        do {
            return try body()
        } catch {
            add(Fault(FlashlayerError(wrapping: error)))
            return nil
        }
    }

    /// - Throws: all errors in one; those of the recipe decide its code.
    func throwErrors() throws {
        let errors = all.filter { $0.severity == .error }
        guard let first = errors.first(where: { $0.code == .badRecipe }) ?? errors.first else { return }
        guard errors.count > 1 else {
            throw FlashlayerError(first.code, first.place + first.message, advice: first.hint)
        }
        let lines = errors.map { "\n  \($0.place)\($0.message)" + ($0.hint.map { "\n    \($0)" } ?? "") }
        throw FlashlayerError(first.code, "\(errors.count) faults:" + lines.joined())
    }
}
