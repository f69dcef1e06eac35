// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Model
import Programs
import StationProtocol
import TestSupport
import Testing

/// `flashlayer station` and the daemon, both as the programs that they are.
@Suite("flashlayer station", .timeLimit(.minutes(30)))
struct StationCommandTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        let slots = (1...8).map { "[[slot]]\nname = \"\($0)\"\ncontroller = \"c\"\nusb3 = \"2.\($0)\"\n" }
        try folder.write(slots.joined(separator: "\n"), to: "station.toml")
    }

    /// Runs lines of a shell beside a daemon that runs; `station` is the command, told of its socket.
    private func session(_ lines: String) async throws -> Program.Outcome {
        let script = #"""
            cd "$1"
            "${flashlayer}d" --config station.toml --socket "$1/control" 2> daemon.errors & pid=$!
            until [ -S control ]; do sleep 0.02; kill -0 $pid || exit 90; done
            trap 'kill $pid; wait $pid' EXIT
            station() { local verb=$1; shift; "$flashlayer" station $verb --socket "$PWD/control" "$@"; }

            """#
        return try await FlashlayerProgram.script(script + lines, arguments: [folder.path])
    }

    @Test("a station is armed, watched and disarmed, and says what it was told")
    func session() async throws {
        try TestImage.create(folder.file("kiosk.raw"), size: 8 << 20, data: [0..<4096])
        let outcome = try await session(
            """
            set -e
            "$flashlayer" map kiosk.raw 2> /dev/null
            station status
            station arm kiosk.raw --slots 1-8 --count 200 --until 18:00 --size 7G..33G --batch fair --operator ann
            station status --json > armed.json
            station status --watch --json | head -n 1 > watched.json
            station disarm
            station status
            """
        )
        try #require(outcome.status == 0, "\(outcome.output)\(outcome.errors)")
        let answers = outcome.output.split(separator: "\n").map(String.init)
        #expect(answers.first == "disarmed: nothing is written")
        #expect(answers[1].hasPrefix("slot  state"))
        #expect(
            answers.contains {
                $0.hasPrefix("armed with kiosk.raw, slots 1,2,3,4,5,6,7,8, 0 of 200 passed, for ")
                    && $0.hasSuffix("batch fair")
            },
            "\(outcome.output)"
        )
        #expect(answers.contains { $0.hasPrefix("1     empty (armed)") })
        #expect(outcome.errors.contains("Disarmed."))
        for name in ["armed.json", "watched.json"] {
            let status = try JSONDecoder().decode(
                StationStatus.self,
                from: Data(try TestImage.bytes(of: folder.file(name)))
            )
            let arming = try #require(status.arming)
            #expect(arming.smallest == 7 << 30 && arming.largest == 33 << 30 && arming.count == 200)
            #expect(arming.operator == "ann" && arming.imageDigest.hasPrefix("sha256-4m:"))
            #expect(status.slots.allSatisfy { $0.armed && $0.state == .empty })
        }
    }

    @Test(
        "what cannot be done says why, and what helps",
        arguments: [
            ("arm none.raw --slots 1", 66, "none.raw"), ("arm none.raw --slots 9", 64, "taught are: 1, 2"),
            ("eject 3", 77, "empty"), ("release 3", 64, "nothing to release"), ("eject 9", 64, "no slot '9'"),
            ("arm none.raw --slots 1 --until 25:00", 64, "18:00"), ("arm none.raw --slots 1 --size 7", 64, "7G..33G"),
            ("arm none.raw --slots 1 --count 0", 64, "at least 1"),
        ]
    )
    func wrong(arguments: String, status: Int32, word: String) async throws {
        let outcome = try await session("station \(arguments)")
        #expect(outcome.status == status, "\(outcome.errors)")
        #expect(outcome.errors.contains(word), "\(outcome.errors)")
    }

    @Test("without a station it says how to start one")
    func alone() async throws {
        let outcome = try await FlashlayerProgram.run(["station", "status", "--socket", folder.file("none")])
        #expect(outcome.status == 69)
        #expect(outcome.errors.contains("systemctl start flashlayerd"))
    }

    @Test(
        "a socket is taught by the stick in it: the slots and udev's rules are written, and one socket has one name",
        .enabled(if: Program.isExecutable("/usr/bin/umockdev-run"), "needs umockdev")
    )
    func teach() async throws {
        let machine = "\(Checkout.root)/Tests/DeviceTests/Machines/sticks"
        let script = """
            set -e
            mkdir -p "$UMOCKDEV_DIR/proc/self" "$UMOCKDEV_DIR/proc/1"
            for process in self 1; do cp "$1.mountinfo" "$UMOCKDEV_DIR/proc/$process/mountinfo"; done
            cp "$1.swaps" "$UMOCKDEV_DIR/proc/swaps"
            # What the description leaves out: which kind of bus the root hub has.
            echo 480 > "$UMOCKDEV_DIR/sys/devices/pci0000:00/0000:00:14.0/usb1/speed"
            cd "$2"
            disks=$("$flashlayer" devices --json | jq -r '[.[] | select(.transport == "usb")] | .[0:2][] | .path')
            set -- $disks
            teach() { "$flashlayer" station teach "$@" --config "$PWD/new/slots.toml" --rules "$PWD/new/slots.rules"; }
            teach 1 --device "$1"
            teach front --device "$2"
            # Once more is no harm; under another name it is.
            teach 1 --device "$1"
            teach other --device "$1" 2> twice && exit 1
            teach 2 --device /dev/none 2> none && exit 1
            "$flashlayer" station teach 'a b' --config new/x --rules new/y 2> name && exit 1
            exit 0
            """
        let outcome = try await FlashlayerProgram.script(
            #"exec umockdev-run --device "$1.umockdev" -- bash "$2" "$1" "$3""#,
            arguments: [machine, try folder.write(script, to: "script"), folder.path]
        )
        try #require(outcome.status == 0, "\(outcome.output)\(outcome.errors)")
        let text = { (name: String) in try String(contentsOfFile: folder.file(name), encoding: .utf8) }
        let slots = try text("new/slots.toml")
        #expect(slots.components(of: "[[slot]]") == 2, "\(slots)")
        #expect(slots.contains("name = \"1\"") && slots.contains("name = \"front\""))
        let rules = try text("new/slots.rules")
        #expect(rules.contains("FLASHLAYER_SLOT}=\"front\"") && !rules.contains("RUN"))
        #expect(try text("twice").contains("is slot 1 already"))
        #expect(try text("none").contains("not-found"))
        #expect(try text("name").contains("cannot name a slot"))
        #expect(outcome.errors.contains("Pull the stick."))
    }
}

extension String {
    /// How often a word stands in it.
    fileprivate func components(of word: String) -> Int {
        var (count, rest) = (0, self[...])
        while let found = rest.firstRange(of: word) {
            count += 1
            rest = rest[found.upperBound...]
        }
        return count
    }
}
