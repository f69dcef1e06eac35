// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import Layers
import Model

/// Writes the steps of a part as shell text for `install.sh`, which has the functions that it calls, and puts beside it
/// whatever is data: no value and no program text ever becomes a part of that text unquoted.
struct StepText {
    let draft: ExportDraft
    /// The digests of scripts, by their paths on this machine.
    let scripts: [String: Digest]

    /// What the text names, relative to the bundle.
    private(set) var used: [String] = []

    /// - Parameter folder: of the files that the text names, in the bundle.
    init(_ draft: ExportDraft, scripts: [String: Digest]) {
        self.draft = draft
        self.scripts = scripts
    }

    mutating func text(of part: BundlePart) throws -> String {
        var lines = ["# Part '\(part.name)': read by install.sh, which says what each word below does."]
        lines += part.notes.map { "# - \($0)" }
        lines.append("proxies=\(part.knowsProxies ? "yes" : "no")")
        for block in part.blocks where !block.steps.isEmpty {
            let body = try block.steps.flatMap { try line($0, of: part) }
            lines.append("")
            guard let manager = block.manager else {
                lines += body
                continue
            }
            lines.append("if [ \"$manager\" = \(manager) ]; then")
            lines += body.map { "    \($0)" }
            lines.append("fi")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private mutating func line(_ step: GuestStep, of part: BundlePart) throws -> [String] {
        switch step {
        case .makeFolder(let path):
            return ["folder \(path.shellWord)"]
        case .write(let path, let contents, let mode):
            let file = try keep(contents, named: Path.name(of: path), in: "files/\(part.name)", mode: mode)
            return ["lay \(file) \(path.shellWord) \(String(mode, radix: 8))"]
        case .upload(let hostPath, let path, let mode):
            if hostPath.hasPrefix("\(draft.folder)/") {
                let file = String(hostPath.dropFirst(draft.folder.count + 1))
                use(file)
                return ["reach \(file) \(path.shellWord)"]
            }
            let file = draft.unused(Path.name(of: hostPath), in: part.name)
            try draft.copy(hostPath, expecting: scripts[hostPath], at: file, mode: mode)
            use(file)
            return ["lay \(file) \(path.shellWord) \(String(mode, radix: 8))"]
        case .link(let path, let target):
            return ["ln -sfn -- \(target.shellWord) \(path.shellWord)"]
        case .remove(let path):
            return ["rm -f -- \(path.shellWord)"]
        case .setTime(let path, let seconds):
            return ["touch -h -d @\(seconds) -- \(path.shellWord)"]
        case .run(let command):
            return try run("run", command, of: part)
        case .relabel:
            return try run("relabel", RelabelSteps.byGuest, of: part)
        case .inspect, .mountFound, .mount, .growRoot, .mountDrive, .unmountDrive, .trim, .readContent, .unmount,
            .checkpoint, .download, .growAtFirstBoot:
            throw FlashlayerError(.fault, "a machine that runs has no such step: \(step)")
        }
    }

    private mutating func run(_ word: String, _ command: GuestCommand, of part: BundlePart) throws -> [String] {
        let standard = GuestCommand.standardEnvironment
        guard standard.keys.allSatisfy({ command.environment[$0] != nil }) else {
            throw FlashlayerError(.fault, "\(command.title): its environment lacks what every program is given")
        }
        let failure = command.failure
        var lines = [
            [
                word, command.source.shellWord, failure.rawValue, "\(failure.exitStatus)",
                command.network ? "yes" : "no",
                command.title.shellQuoted,
            ].joined(separator: " ")
        ]
        for (key, value) in command.environment.sorted(by: { $0.key < $1.key }) where standard[key] != value {
            lines.append("\(key)=\(value.shellQuoted)")
        }
        // A program that is text is a file of its own, to be read.
        if command.arguments.count == 4, command.arguments.prefix(3) == ["/bin/sh", "-eu", "-c"] {
            let name = ExportDraft.plain(command.title.replacing(" ", with: "-")) + ".sh"
            let file = try keep(command.arguments[3] + "\n", named: name, in: "files/\(part.name)", mode: 0o644)
            lines.append("/bin/sh -eu \"$bundle\"/\(file)")
        } else {
            lines += command.arguments.map(\.shellWord).wrapped
        }
        return lines.enumerated().map { index, line in
            (index == 0 ? "" : "    ") + line + (index == lines.count - 1 ? "" : " \\")
        }
    }

    /// The same content under the same name is kept once.
    private mutating func keep(_ contents: String, named name: String, in folder: String, mode: UInt16) throws -> String
    {
        let digest = try SHA256.digest(of: contents).hex
        let plain = "\(folder)/\(ExportDraft.plain(name))"
        if draft.sha256(of: plain) == digest {
            use(plain)
            return plain
        }
        let file = draft.unused(name, in: folder)
        try draft.add(contents, at: file, mode: mode)
        use(file)
        return file
    }

    private mutating func use(_ file: String) {
        if !used.contains(file) { used.append(file) }
    }
}

extension String {
    /// As a shell takes it: quoted only where it must be.
    var shellWord: String {
        let isPlain =
            !isEmpty
            && utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: "/._-+:@%".utf8.contains(byte)
                }
            }
        return isPlain ? self : shellQuoted
    }
}

extension [String] {
    /// Words in lines of a length that can be read.
    fileprivate var wrapped: [String] {
        reduce(into: [String]()) { lines, word in
            if let last = lines.last, last.utf8.count + word.utf8.count < 100 {
                lines[lines.count - 1] = "\(last) \(word)"
            } else {
                lines.append(word)
            }
        }
    }
}
