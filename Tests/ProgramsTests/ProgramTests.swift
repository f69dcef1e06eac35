// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import Programs
import Synchronization
import Testing

@Suite("Programs")
struct ProgramTests {
    @Test("a program that is missing is named with the command that installs it")
    func missing() {
        let error = #expect(throws: FlashlayerError.self) { try Program("no-such-tool", debianPackage: "no-such-deb") }
        #expect(error?.code == .unavailable)
        #expect(error?.message.contains("no-such-tool") == true)
        #expect(error?.advice == "apt-get install no-such-deb")
    }

    @Test("output, errors and status come back")
    func outcome() async throws {
        let shell = try Program("sh", debianPackage: "dash")
        let outcome = try await shell.outcome(["-c", "echo out; echo err >&2; exit 3"])
        #expect(outcome.status == 3)
        #expect(outcome.output == "out\n")
        #expect(outcome.errors == "err")
    }

    @Test("a failure carries the last lines")
    func failure() async throws {
        let shell = try Program("sh", debianPackage: "dash")
        let error = await #expect(throws: FlashlayerError.self) {
            try await shell.run(["-c", "echo what happened >&2; exit 1"], failure: .packagesFailed)
        }
        #expect(error?.code == .packagesFailed)
        #expect(error?.message.contains("what happened") == true)
    }

    @Test("cancelling ends the program and what it started")
    func cancelling() async throws {
        let shell = try Program("sh", debianPackage: "dash")
        let task = Task { try await shell.outcome(["-c", "sleep 61.7 & wait"]) }
        try await Task.sleep(for: .milliseconds(200))
        task.cancel()
        await #expect(throws: (any Error).self) { try await task.value }
        let left = try await Program("pgrep", debianPackage: "procps").outcome(["-f", "sleep 61[.]7"])
        #expect(left.output.isEmpty)
    }
}

@Suite("Workers")
struct WorkerTests {
    private struct Job: Codable, Sendable { var name: String }
    private struct Event: Codable, Sendable, Equatable { var said: String }

    private func run(_ script: String, grace: Duration = .seconds(1)) async throws -> (Worker.Ending, [Event]) {
        let events = Mutex<[Event]>([])
        let ending = try await Worker("/bin/sh", arguments: ["-c", script], grace: grace)
            .run(Job(name: "n"), events: Event.self) { event in events.withLock { $0.append(event) } }
        return (ending, events.withLock { $0 })
    }

    @Test("the job arrives as the first line, events come back in order, and so does the status")
    func job() async throws {
        let (ending, events) = try await run(
            #"""
            read -r job
            case $job in *'"name":"n"'*'"version":1'*) echo '{"said":"got it"}' ;; esac
            echo '{"said":"more"}'
            exit 5
            """#
        )
        #expect(ending == .ended(5))
        #expect(events == [Event(said: "got it"), Event(said: "more")])
    }

    @Test("cancelling asks first: the worker sees the word, says goodbye and ends by itself")
    func cancelPolitely() async throws {
        let task = Task {
            try await run(#"read -r job; read -r word; echo "{\"said\":\"$word\"}"; exit 7"#, grace: .seconds(20))
        }
        try await Task.sleep(for: .milliseconds(300))
        task.cancel()
        let (ending, events) = try await task.value
        #expect(ending == .ended(7))
        #expect(events == [Event(said: "cancel")])
    }

    @Test("a worker that does not listen is killed")
    func cancelByForce() async throws {
        let task = Task {
            try await run("read -r job; trap '' TERM INT; while :; do sleep 0.1; done", grace: .milliseconds(300))
        }
        try await Task.sleep(for: .milliseconds(300))
        task.cancel()
        let (ending, _) = try await task.value
        #expect(ending == .ended(137))
    }

    @Test("a worker that talks nonsense is a fault, and does not stay")
    func nonsense() async throws {
        let error = await #expect(throws: FlashlayerError.self) { try await run("echo not JSON; sleep 62.3") }
        #expect(error?.code == .fault)
    }
}
