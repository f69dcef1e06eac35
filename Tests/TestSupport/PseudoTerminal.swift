// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
package import Programs

/// The program at a terminal of its own, with somebody who reads and types. See pty(7).
package enum PseudoTerminal {
    /// What is waited for on the screen, and then typed. An empty text is not waited for.
    package struct Step: Encodable, Sendable {
        let expect: String
        let type: String

        package init(_ expect: String, type: String) {
            self.expect = expect
            self.type = type
        }
    }

    /// Runs it to its end.
    ///
    /// - Returns: its status, and as output everything that stood on the screen.
    package static func run(_ arguments: [String], _ steps: [Step], environment: [String: String?] = [:]) async throws
        -> Program.Outcome
    {
        let dialogue = String(decoding: try JSONEncoder().encode(steps), as: UTF8.self)
        return try await Program("python3", debianPackage: "python3").outcome(
            ["-c", person, dialogue, try FlashlayerProgram.path] + arguments,
            environment: ["TERM": "xterm"].merging(environment) { _, other in other }
        )
    }

    private static let person = """
        import json, os, pty, sys
        steps = json.loads(sys.argv[1])
        pid, screen = pty.fork()
        if pid == 0:
            os.execv(sys.argv[2], sys.argv[2:])
        seen, told = b"", b""
        while True:
            while steps and (steps[0]["expect"].encode() in seen or not steps[0]["expect"]):
                step = steps.pop(0)
                seen = seen.split(step["expect"].encode(), 1)[1] if step["expect"] else seen
                os.write(screen, step["type"].encode())
            try:
                data = os.read(screen, 65536)
            except OSError:
                break
            if not data:
                break
            seen += data
            told += data
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        sys.stdout.buffer.write(told)
        sys.exit(status if status >= 0 else 128 - status)
        """
}
