// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import FoundationEssentials
import Model
import StationProtocol

/// `flashlayer station arm`
struct StationArm: Operation {
    static let configuration = CommandConfiguration(
        commandName: "arm",
        abstract: "Have each stick that comes into a slot from now on written.",
        usage: "flashlayer station arm <image> --slots <slots> [--count <n>] [--until <time>] [<option> ...]",
        discussion: """
            The image is a local file that can be read in any order (raw, qcow2 and the like) with its block map beside it; \
            it is read as a whole first and held to the map. Only sticks that arrive afterwards are written. One that \
            carries the image already is compared, and not written again; one that failed twice is left alone until it is \
            released.

              flashlayer station arm /srv/kiosk.raw --slots 1-8
              flashlayer station arm /srv/kiosk.raw --slots all --count 200 --until 18:00
              flashlayer station arm /srv/kiosk.raw --slots 1,3 --size 7G..33G

            --count counts those that were written and passed. The station disarms itself when the count or the time is \
            reached, and when it is started anew.
            """
    )

    @Argument(help: "The image file.", completion: .file())
    var image: String

    @Option(help: ArgumentHelp("The slots: 1-8, or 1,3,front, or all.", valueName: "slots"))
    var slots: String

    @Option(help: ArgumentHelp("Disarm when so many have passed.", valueName: "n"))
    var count: Int?

    @Option(help: ArgumentHelp("Disarm at this time of the day, such as 18:00.", valueName: "time"))
    var until: String?

    @Option(help: ArgumentHelp("Refuse sticks of another size: 7G..33G, 8G.. or ..64G.", valueName: "range"))
    var size: String?

    @Option(
        name: .customLong("operator"),
        help: ArgumentHelp("Who is responsible, for the records. Default: the user.", valueName: "name")
    )
    var operatorName: String?

    @Option(help: ArgumentHelp("What these sticks are for, for the records.", valueName: "name"))
    var batch: String?

    @OptionGroup var station: StationOptions
    @OptionGroup var common: CommonOptions

    func validate() throws {
        if let count, count < 1 { throw ValidationError("--count is at least 1, not \(count)") }
        if let until, ClockTime(until) == nil {
            throw ValidationError("--until takes a time of the day such as 18:00, not '\(until)'")
        }
        if let size, SizeRange(size) == nil {
            throw ValidationError("--size takes a range such as 7G..33G, not '\(size)'")
        }
    }

    func perform(_ console: Console) async throws {
        let path = image.hasPrefix("/") ? image : "\(FileManager.default.currentDirectoryPath)/\(image)"
        var request = ArmRequest(image: path, slots: slots)
        let range = size.flatMap(SizeRange.init)
        (request.smallest, request.largest) = (range?.smallest, range?.largest)
        request.count = count
        request.until = until.flatMap(ClockTime.init)?.next(after: Int64(Date().timeIntervalSince1970))
        request.operator = operatorName
        request.batch = batch
        console.detail("the station reads the image and compares it with its block map")
        let status = try await station.client.ask(.arm(request))
        console.say("Armed: plug sticks in. 'flashlayer station status --watch' shows how they do.")
        for line in StationTable(status, now: Int64(Date().timeIntervalSince1970)).lines { Console.answer(line) }
    }
}

/// `7G..33G`: one of the ends may be missing.
struct SizeRange: Equatable {
    /// Bytes.
    let smallest: UInt64?
    let largest: UInt64?

    init?(_ text: String) {
        guard let dots = text.firstRange(of: "..") else { return nil }
        let (low, high) = (String(text[..<dots.lowerBound]), String(text[dots.upperBound...]))
        (smallest, largest) = (ByteSize.parse(low), ByteSize.parse(high))
        guard low.isEmpty || smallest != nil, high.isEmpty || largest != nil, !(low.isEmpty && high.isEmpty) else {
            return nil
        }
        if let smallest, let largest, smallest > largest { return nil }
    }
}
