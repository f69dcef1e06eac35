// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Model
import Programs
import ServiceManager
import StationProtocol
import TestSupport
import Testing

/// The program itself, started as a service manager would, and spoken to at its socket.
@Suite("flashlayerd", .timeLimit(.minutes(30)))
struct DaemonTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        try folder.write(
            """
            [[slot]]
            name = "1"
            controller = "pci0000:00/0000:00:14.0"
            usb3 = "2.1"
            """,
            to: "station.toml"
        )
    }

    /// Runs a shell script in which `daemon` starts the program, and `$socket` is where it is spoken to.
    private func script(_ text: String) async throws -> Program.Outcome {
        let prelude = #"""
            socket=$1/control
            daemon() { "${flashlayer}d" --config "$folder/station.toml" --socket "$socket" "$@"; }
            folder=$1
            begin() {
                "${flashlayer}d" --config "$folder/station.toml" --socket "$socket" 2> "$folder/errors" & pid=$!
                until [ -S "$socket" ]; do sleep 0.02; kill -0 $pid || exit 90; done
            }

            """#
        return try await FlashlayerProgram.script(prelude + text, arguments: [folder.path])
    }

    @Test("it begins disarmed, tells its status, and ends with 0 when it is told to; a second one says that it is busy")
    func lifetime() async throws {
        let running = Task {
            try await script(
                #"""
                begin
                daemon 2> "$folder/second"; echo $? > "$folder/second.status"
                until [ -e "$folder/done" ]; do sleep 0.02; done
                kill -TERM $pid
                wait $pid
                """#
            )
        }
        while !FileManager.default.fileExists(atPath: folder.file("second.status")) {
            try await Task.sleep(for: .milliseconds(10))
        }
        let connection = try UnixConnection(to: folder.file("control"))
        let ask = { (request: String) throws -> StationReply in
            connection.say(request)
            return try JSONDecoder().decode(StationReply.self, from: Data(try #require(connection.line()).utf8))
        }
        let status = try #require(try ask(#"{"request":"status"}"#).status)
        #expect(status.arming == nil && status.slots.map(\.name) == ["1"])
        #expect(try ask("nonsense").error?.code == .usage)
        #expect(try ask(#"{"request":"release","slot":"7"}"#).error?.code == .usage)
        #expect(try ask(#"{"request":"eject","slot":"1"}"#).error?.code == .noMedium)
        let arm = #"{"request":"arm","arm":{"image":"/nowhere","slots":"1"}}"#
        #expect(try ask(arm).error?.code == .notFound)
        #expect(try ask(#"{"request":"disarm"}"#).status?.arming == nil)
        connection.hangUp()
        try folder.write("", to: "done")
        let outcome = try await running.value
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(String(decoding: try TestImage.bytes(of: folder.file("second.status")), as: UTF8.self) == "75\n")
        #expect(!FileManager.default.fileExists(atPath: folder.file("control")), "the socket goes with it")
    }

    @Test("a station that cannot work says why, with the status of its code")
    func refuses() async throws {
        for (arguments, status, word) in [
            ("--config $folder/none.toml", 66, "teach"), ("--nonsense", 64, "--help"), ("--socket", 64, "value"),
            ("--config=$folder/bad.toml", 78, "bad.toml:2"),
        ] {
            try folder.write("[[slot]]\nname = 7\n", to: "bad.toml")
            let outcome = try await script("daemon \(arguments)")
            #expect(outcome.status == status, "\(arguments): \(outcome.errors)")
            #expect(outcome.errors.contains(word), "\(outcome.errors)")
        }
        let help = try await script("daemon --help && daemon --version")
        #expect(help.status == 0 && help.output.contains("Usage: flashlayerd"))
        #expect(help.output.hasSuffix(Version.string + "\n"))
    }
}
