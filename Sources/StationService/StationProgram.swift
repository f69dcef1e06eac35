// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import Flashing
import FoundationEssentials
import Glibc
import Model
import Programs
import Station
import StationProtocol

/// The program `flashlayerd`: its command line, and what it starts itself as.
package enum StationProgram {
    private static let help = """
        Usage: flashlayerd [--config FILE] [--socket PATH]

        The imaging station: writes an image to each stick that is plugged into an armed slot, and proves every byte.
        It starts disarmed, and is spoken to by 'flashlayer station'. It is started by systemd: flashlayerd.service.

          --config FILE   The taught slots (\(SlotMap.file)).
          --socket PATH   Where it is spoken to (\(StationSocket.path)).
          --version       Print the version.
          -h, --help      Print this.

        """

    /// Runs the program with this process's arguments.
    ///
    /// - Returns: the exit status.
    package static func run() async -> Int32 {
        signal(SIGPIPE, SIG_IGN)
        let arguments = Array(CommandLine.arguments.dropFirst())
        do {
            switch arguments.first {
            case Engine.subcommand: return await Engine.run()
            case ObserverJob.subcommand: return try ObserverJob.run()
            default: break
            }
            guard let options = try Options(arguments) else { return 0 }
            try await serve(options)
            return 0
        } catch {
            let failure = FlashlayerError(wrapping: error)
            let advice = failure.advice.map { "\n  \($0)" } ?? ""
            write("error: \(failure.message) [\(failure.code.rawValue)]\(advice)\n", to: 2)
            return failure.code.exitStatus
        }
    }

    private static func serve(_ options: Options) async throws {
        guard let data = FileManager.default.contents(atPath: options.config) else {
            throw FlashlayerError(
                .notFound,
                "there are no slots: \(options.config) cannot be read",
                advice: "teach the first: flashlayer station teach 1"
            )
        }
        let map = try SlotMap(text: String(decoding: data, as: UTF8.self), file: options.config)
        let daemon = StationDaemon(map: map, socket: options.socket)
        do {
            try await Interruption().run { try await daemon.run() }
        } catch let error as FlashlayerError where [.interrupted, .terminated].contains(error.code) {
            // That is how a service ends.
        }
    }

    private struct Options {
        var config = SlotMap.file
        var socket = StationSocket.path

        /// - Returns: nil when the answer is printed already.
        init?(_ arguments: [String]) throws {
            var rest = arguments[...]
            while let word = rest.popFirst() {
                let halves = word.split(separator: "=", maxSplits: 1).map(String.init)
                switch halves.first {
                case "--help", "-h":
                    write(StationProgram.help, to: 1)
                    return nil
                case "--version":
                    write(Version.string + "\n", to: 1)
                    return nil
                case "--config", "--socket":
                    guard let value = halves.count == 2 ? halves[1] : rest.popFirst(), !value.isEmpty else {
                        throw FlashlayerError(.usage, "\(word) needs a value", advice: "flashlayerd --help")
                    }
                    if halves[0] == "--config" { config = value } else { socket = value }
                default:
                    throw FlashlayerError(
                        .usage,
                        "unknown argument '\(Printable.line(word))'",
                        advice: "flashlayerd --help"
                    )
                }
            }
        }
    }

    private static func write(_ text: String, to descriptor: Int32) {
        let bytes = Array(text.utf8)
        _ = unsafe Glibc.write(descriptor, bytes, bytes.count)
    }
}
