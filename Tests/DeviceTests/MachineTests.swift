// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Programs
import TestSupport
import Testing

/// The program itself on other machines: umockdev shows it, and the children that it starts, the sysfs, the nodes and
/// udev's properties of a description (umockdev-run(1)); what mountinfo and /proc/swaps would say lies beside it.
///
/// The nodes are empty files: what lies on the disks is not read here, and /proc has the processes of this machine.
@Suite(
    "Machines that umockdev describes",
    .enabled(if: Program.isExecutable("/usr/bin/umockdev-run"), "needs umockdev")
)
struct MachineTests {
    private struct Answers {
        let disks: [JSONValue]
        let table: String
        /// By device.
        let explanations: [String: (status: String, text: String)]

        func disk(_ name: String) throws -> JSONValue {
            try #require(disks.first { $0["path"]?.text == "/dev/" + name })
        }

        /// `["sda": "system-disk held"]`: every disk with the codes that refuse it, in the order of the rules.
        var codes: [String: String] {
            let pairs = disks.map { disk in
                guard case .array(let refusals) = disk["refusals"] else { return ("", "") }
                let codes = refusals.compactMap { $0["code"]?.text }.joined(separator: " ")
                return (String(disk["path"]?.text?.dropFirst("/dev/".count) ?? ""), codes)
            }
            return Dictionary(pairs) { "\($0), \($1)" }
        }
    }

    /// Asks the program for the list, as JSON and as a table, and to explain some devices.
    private func ask(_ machine: String, explain names: [String]) async throws -> Answers {
        let folder = try TemporaryFolder()
        let script = """
            set -eu
            mkdir -p "$UMOCKDEV_DIR/proc/self" "$UMOCKDEV_DIR/proc/1"
            for process in self 1; do cp "$1.mountinfo" "$UMOCKDEV_DIR/proc/$process/mountinfo"; done
            cp "$1.swaps" "$UMOCKDEV_DIR/proc/swaps"
            echo quiet > "$UMOCKDEV_DIR/proc/cmdline"
            "$flashlayer" devices --all --json > "$2/json"
            "$flashlayer" devices --all > "$2/table"
            folder=$2; shift 2
            for name; do
                status=0; "$flashlayer" explain "/dev/$name" > "$folder/$name" 2>&1 || status=$?
                echo $status > "$folder/$name.status"
            done
            """
        let description = "\(Checkout.root)/Tests/DeviceTests/Machines/\(machine)"
        let outcome = try await FlashlayerProgram.script(
            #"exec umockdev-run --device "$1.umockdev" -- bash "${@:3}""#,
            arguments: [description, "", try folder.write(script, to: "script"), description, folder.path] + names
        )
        try #require(outcome.status == 0, "\(outcome.errors)")
        let text = { (name: String) in try String(contentsOfFile: folder.file(name), encoding: .utf8) }
        return Answers(
            disks: try JSONValue.array(of: try text("json")),
            table: try text("table"),
            explanations: try Dictionary(
                names.map { ($0, (try text($0 + ".status").filter { $0 != "\n" }, try text($0))) },
                uniquingKeysWith: { first, _ in first }
            )
        )
    }

    @Test("a laptop with its root and swap on LVM in LUKS on NVMe offers the stick alone")
    func laptop() async throws {
        let answers = try await ask("laptop", explain: ["nvme0n1", "sda"])
        #expect(
            answers.codes == [
                "nvme0n1": "system-disk mounted held internal", "dm-0": "system-disk held virtual",
                "dm-1": "system-disk mounted virtual", "dm-2": "swap virtual", "sda": "",
            ]
        )
        #expect(answers.explanations["nvme0n1"]?.status == "77")
        #expect(
            answers.explanations["nvme0n1"]?.text.contains(
                "mounted at / (mountinfo 23), on /dev/dm-0 (cryptroot), on /dev/nvme0n1p3"
            ) == true
        )
        #expect(answers.explanations["sda"]?.status == "0", "\(answers.explanations["sda"]?.text ?? "")")
        let internalDisk = try answers.disk("nvme0n1")
        #expect(internalDisk["transport"]?.text == "nvme")
        #expect(internalDisk["serial"]?.text == "S64DNX0R")
        #expect(internalDisk["health"]?.text == "live")
        guard case .array(let holders) = internalDisk["holders"], case .array(let volumes) = holders.first?["holders"]
        else {
            Issue.record("holders are arrays")
            return
        }
        #expect(holders.map { $0["name"]?.text } == ["cryptroot"])
        #expect(volumes.map { $0["name"]?.text } == ["vg-root", "vg-swap"])
        #expect(volumes.first?["mountPoints"] == .array([.string("/")]))
        let stick = try answers.disk("sda")
        #expect(stick["port"]?.text == "0000:00:14.0/3")
        #expect(stick["linkSpeed"]?.number == 480)
        #expect(stick["vendor"]?.text == "SanDisk")
    }

    @Test("a server with 24 disks offers none without a word more: no mirror, no RAID, no path of a volume")
    func server() async throws {
        let answers = try await ask("server", explain: ["sda", "sdg", "sdw"])
        var expected = [
            "md0": "system-disk mounted virtual", "md1": "mounted virtual large", "dm-0": "virtual",
            "sda": "system-disk held internal", "sdb": "system-disk held internal",
            "sdw": "held internal", "sdx": "held internal",
        ]
        for letter in "cdef" { expected["sd\(letter)"] = "held internal large" }
        for letter in "ghijklmnopqrstuv" { expected["sd\(letter)"] = "internal large" }
        #expect(answers.codes == expected)
        for name in ["sda", "sdg", "sdw"] { #expect(answers.explanations[name]?.status == "77", "\(name)") }
        #expect(answers.explanations["sdw"]?.text.contains("/dev/dm-0 (mpatha) is built on /dev/sdw") == true)
        #expect(try answers.disk("sda")["transport"]?.text == "sas")
        #expect(try answers.disk("sdw")["transport"]?.text == "fc")
        #expect(try answers.disk("sdg")["health"]?.text == "running, 3 I/O errors")
    }

    @Test("a Raspberry Pi offers the stick, and not the card that it runs from")
    func raspberry() async throws {
        let answers = try await ask("raspberry", explain: ["mmcblk0", "sda"])
        // A card is not internal: in a slot of a laptop it is what people want to write.
        #expect(answers.codes == ["mmcblk0": "system-disk mounted", "sda": ""])
        #expect(answers.explanations["mmcblk0"]?.status == "77")
        #expect(answers.explanations["sda"]?.status == "0")
        #expect(try answers.disk("mmcblk0")["transport"]?.text == "mmc")
        #expect(try answers.disk("sda")["port"]?.text == "0000:00:14.0/1.2")
        #expect(try answers.disk("sda")["model"]?.text == "DataTraveler 3.0")
    }

    @Test("the four empty slots of a card reader are shown, and have no medium")
    func reader() async throws {
        let answers = try await ask("reader", explain: ["sdb"])
        #expect(
            answers.codes == [
                "sda": "system-disk mounted internal", "sdb": "no-medium", "sdc": "no-medium", "sdd": "no-medium",
                "sde": "no-medium",
            ]
        )
        #expect(answers.explanations["sdb"]?.status == "77")
        #expect(try answers.disk("sde")["model"]?.text == "USB MS Reader")
        #expect(try answers.disk("sde")["size"]?.number == 0)
    }

    @Test("names that were chosen to do harm are exact in JSON, and harmless where people read")
    func sticks() async throws {
        let names = ["sda", "sdb", "sdc", "sdd", "sde", "sdf", "sdg"]
        let answers = try await ask("sticks", explain: names)
        #expect(answers.codes == Dictionary(names.map { ($0, "") }) { first, _ in first })
        let told = try names.map { name in
            let disk = try answers.disk(name)
            return [disk["vendor"]?.text, disk["model"]?.text, disk["serial"]?.text]
        }
        #expect(
            told == [
                ["<b>", "<script>alert(1)</script>", #""><img src=x>"#],
                ["Evil", "a\u{1b}[2Jb\u{7}c\nd", "S1\u{1b}[31m\r2\n3"],
                ["Right", "\u{202e}gpj.exe", "\u{200f}99\u{2066}x"],
                ["Long", String(repeating: "M", count: 300), String(repeating: "7", count: 300)],
                ["Twin", "Stick", "0123456789"],
                ["Twin", "Stick", "0123456789"],
                ["Generic", "Flash Disk", nil],
            ]
        )
        // Two that call themselves the same are told apart by where they are.
        #expect(try answers.disk("sde")["port"] != answers.disk("sdf")["port"])
        #expect(answers.table.split(separator: "\n").allSatisfy { $0.count <= 100 })
        for (name, explanation) in answers.explanations.map({ ($0, $1) }) + [("the table", ("0", answers.table))] {
            #expect(explanation.0 == "0", "\(name)")
            let harmful = explanation.1.unicodeScalars.filter {
                $0 != "\n" && [.control, .format].contains($0.properties.generalCategory)
            }
            #expect(harmful.isEmpty, "\(name)")
        }
    }
}
