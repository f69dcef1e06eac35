// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CGuestfs
import Layers
import Model

/// Runs programs in the guest so that their output is seen as it comes and their status is known.
///
/// libguestfs's own call gives the output at the end, and neither output nor status of a program that fails. So the
/// program runs under a few lines of the guest's shell, which copy its output to the appliance's console (that arrives
/// here at once) and answer with status, leftovers and the last lines.
struct GuestRun {
    struct Outcome {
        let status: Int32
        /// Names of processes that the program left running, and that were killed.
        let leftovers: [String]
        let lastLines: [String]
    }

    /// The program's output ends when the last process that holds it ends: those that stay behind are therefore killed
    /// before the copying program is waited for. A process is the guest's if the guest is its root.
    private static let wrapper = """
        scratch=\(GuestFolder.scratch)
        rm -f $scratch/pipe
        mkfifo $scratch/pipe
        tee $scratch/output < $scratch/pipe > /dev/console &
        copy=$!
        cd /
        "$@" > $scratch/pipe 2>&1 < /dev/null
        status=$?
        left=
        for process in /proc/[0-9]*; do
            id=${process#/proc/}
            [ "$id" != $$ ] && [ "$id" != $copy ] && [ $process/root/. -ef / ] || continue
            read -r name < $process/comm 2> /dev/null || continue
            kill -KILL "$id" 2> /dev/null && left="$left $name"
        done
        wait $copy
        echo $status
        echo $left
        tail -n 20 $scratch/output
        """

    let guest: GuestfsHandle
    let console: ConsoleLines

    func run(_ command: GuestCommand) throws -> Outcome {
        let environment = command.environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        let isolation = command.network ? [] : ["/usr/bin/unshare", "--net", "--"]
        let arguments =
            ["/bin/sh", "-c", Self.wrapper, "flashlayer"] + isolation + ["/usr/bin/env", "-i"] + environment
            + command.arguments
        console.source = command.source
        defer { console.source = nil }
        let answer = try unsafe GuestfsHandle.withVector(arguments) { vector in
            try unsafe guest.string { unsafe guestfs_command($0, vector) }
        }
        console.flush()
        let lines = answer.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count >= 2, let status = Int32(lines[0]) else {
            throw FlashlayerError(.fault, "the guest's shell answered what is not understood: \(answer.prefix(200))")
        }
        var lastLines = lines.dropFirst(2).map { String($0.filter { !$0.isNewline }) }
        while lastLines.last == "" { lastLines.removeLast() }
        return Outcome(status: status, leftovers: lines[1].split(separator: " ").map(String.init), lastLines: lastLines)
    }
}

/// Cuts what the appliance's console prints into lines, and hands on those of the program that runs.
///
/// Events come on the thread that called into the library, while that call runs: no lock is needed.
final class ConsoleLines {
    /// nil: nothing of ours runs; what the console says then is the appliance's own talk.
    var source: String?
    private var partial = ""
    private let onLine: (_ source: String, _ line: String) -> Void

    init(onLine: @escaping (_ source: String, _ line: String) -> Void) {
        self.onLine = onLine
    }

    func receive(_ text: String) {
        guard source != nil else { return }
        partial += text
        // "\r\n" is one Character in Swift, and the console ends its lines with it.
        while let end = partial.firstIndex(where: { $0 == "\n" || $0 == "\r\n" }) {
            emit(partial[..<end])
            partial = String(partial[partial.index(after: end)...])
        }
    }

    func flush() {
        if !partial.isEmpty { emit(partial[...]) }
        partial = ""
    }

    private func emit(_ line: Substring) {
        guard let source else { return }
        // Progress meters redraw their line: what stands last is what a terminal would show.
        let shown = line.split(separator: "\r").last ?? ""
        onLine(source, String(shown))
    }
}
