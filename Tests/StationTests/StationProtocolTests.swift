// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Model
import StationProtocol
import Testing

@Suite("What the station's clients say and hear")
struct StationProtocolTests {
    private static func json(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    @Test("requests keep their words, and come back as they went")
    func requests() throws {
        var arm = ArmRequest(image: "/srv/demo.raw", slots: "1-8")
        arm.count = 200
        let lines: [(StationRequest, String)] = [
            (.arm(arm), #"{"arm":{"count":200,"image":"/srv/demo.raw","slots":"1-8"},"request":"arm"}"#),
            (.disarm(cancel: true), #"{"cancel":true,"request":"disarm"}"#),
            (.status(watch: false), #"{"request":"status","watch":false}"#),
            (.records(RecordsRequest()), #"{"records":{},"request":"records"}"#),
            (.eject(slot: "1"), #"{"request":"eject","slot":"1"}"#),
            (.release(slot: "front"), #"{"request":"release","slot":"front"}"#),
        ]
        for (request, line) in lines {
            #expect(try Self.json(request) == line)
            #expect(try JSONDecoder().decode(StationRequest.self, from: Data(line.utf8)) == request)
        }
        #expect(throws: (any Error).self) {
            try JSONDecoder().decode(StationRequest.self, from: Data(#"{"request":"format"}"#.utf8))
        }
    }

    @Test("a status has every key always, null where nothing is known")
    func status() throws {
        let slot = StationStatus.Slot(name: "1", state: .alreadyDone, armed: false)
        let status = StationStatus(station: nil, arming: nil, slots: [slot], untaught: 0)
        let text = try Self.json(status)
        #expect(
            text == #"{"arming":null,"schema":1,"slots":[{"armed":false,"bytesDone":null,"bytesPerSecond":null,"#
                + #""bytesTotal":null,"code":null,"device":null,"linkSpeed":null,"name":"1","reason":null,"#
                + #""serial":null,"size":null,"slowLink":false,"state":"already-done","vendorProduct":null}],"#
                + #""station":null,"untaught":0}"#
        )
        #expect(try JSONDecoder().decode(StationStatus.self, from: Data(text.utf8)) == status)
        let error = StationReply(error: FlashlayerError(.busy, "armed"))
        let copy = try JSONDecoder().decode(StationReply.self, from: Data(try Self.json(error).utf8))
        #expect(copy == error)
    }
}
