// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// A file of `scripts/`.
struct ScriptFile {
    let folder: Pathname
    let name: Pathname
    let files: LayerFiles
    let findings: Findings

    /// - Returns: nil when it is none, or cannot run.
    func script() -> Layer.Script? {
        let file = folder.appending(name)
        let path = files.path(file).text
        // It is part of messages, of the log and of keys.
        guard let name = name.string else {
            findings.error(path, "the name of a script must be UTF-8", hint: "rename it")
            return nil
        }
        guard !isLeftover(name) else { return nil }
        guard let status = findings.attempt({ try files.status(file) }) ?? nil, status.kind == .file else {
            findings.error(path, "not a regular file; scripts/ holds the scripts and nothing else")
            return nil
        }
        if status.mode & 0o111 == 0 {
            findings.warn(
                path,
                "not executable; it runs all the same here, but not by other tools",
                hint: "chmod +x, and in git: git update-index --chmod=+x"
            )
        }
        guard let head = findings.attempt({ try files.head(file, count: 256) }), checkInterpreter(head, path),
            let digest = findings.attempt({ try files.digest(file).digest })
        else { return nil }
        return Layer.Script(name: name, path: path, digest: digest)
    }

    /// Hidden files, and what editors leave behind.
    private func isLeftover(_ name: String) -> Bool {
        name.hasPrefix(".") || name.hasSuffix("~") || name.hasSuffix(".swp") || name.hasPrefix("#")
    }

    /// - Parameter head: the kernel reads no further than 256 bytes for the interpreter; see execve(2).
    private func checkInterpreter(_ head: [UInt8], _ path: String) -> Bool {
        let line = head.prefix { $0 != UInt8(ascii: "\n") }
        let interpreter = line.dropFirst(2).drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
        guard head.starts(with: Array("#!".utf8)), interpreter.first == UInt8(ascii: "/") else {
            findings.error(
                path,
                1,
                "the script does not start with #! and the path of an interpreter",
                hint: "make its first line #!/bin/bash, or whatever runs it"
            )
            return false
        }
        guard !line.contains(UInt8(ascii: "\r")) else {
            findings.error(
                path,
                1,
                "the line ends in a carriage return, which the kernel takes for part of the interpreter's name",
                hint: "save the script with Unix line endings: sed -i 's/\\r$//' \(path.printable)"
            )
            return false
        }
        return true
    }
}
