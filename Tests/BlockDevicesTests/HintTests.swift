// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import Model
import TestSupport
import Testing

/// Three disks: a SATA disk of 60 GiB, a USB stick of 120 GiB and one of 10 GiB, as in Ironic's own tests.
private func machine() throws -> FakeMachine {
    let machine = try FakeMachine()
    try machine.disk(
        "sda",
        "8:0",
        .sata,
        size: 60 << 30,
        [
            "device/model": "ok model", "device/vendor": "Foo Inc, Ltd", "serial": "fakeserial",
            "queue/rotational": "1",
            "device/type": "0",
        ]
    )
    try machine.disk(
        "sdb",
        "8:16",
        .usb,
        size: 120 << 30,
        ["device/model": "Big Model", "serial": "VeryFakeSerial", "removable": "1"]
    )
    try machine.disk("sdc", "8:32", .nvme, size: 10 << 30, ["device/model": "50%20off", "serial": "s3"])
    let usb = "/sys/devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1.4"
    try machine.write("1", usb + "/busnum")
    machine.udev(
        "sda",
        ["ID_WWN": "0x5002538e", "ID_WWN_WITH_EXTENSION": "0x5002538eABCD", "ID_WWN_VENDOR_EXTENSION": "0xABCD"],
        links: ["/dev/disk/by-path/pci-0000:00:1f.2-ata-1", "/dev/disk/by-id/ata-ok"]
    )
    return machine
}

private func fitting(_ text: String) throws -> [String] {
    let hints = try DiskHints(text)
    return try machine().inventory().disks().filter(hints.fits).map { String($0.path.dropFirst("/dev/sd".count)) }
}

@Suite("Hints")
struct HintTests {
    /// Hints, and the last letters of the disks that fit.
    struct Example: Sendable, CustomTestStringConvertible {
        let text: String
        let disks: String

        init(_ text: String, _ disks: String) {
            self.text = text
            self.disks = disks
        }

        var testDescription: String { text }
    }

    @Test("a key that is written twice in JSON is a mistake: a reader of JSON would keep one of the two")
    func twice() throws {
        for text in [
            #"{"name": "sda", "name": "sdb"}"#, #"{"serial": "a:\"b", "size": 7, "serial":"c"}"#,
        ] {
            let error = #expect(throws: FlashlayerError.self) { try DiskHints(text) }
            #expect(error?.code == .usage && error?.message.contains("twice") == true)
        }
        _ = try DiskHints(#"{"name": "a: \"name\": b", "serial": "name"}"#)
    }

    @Test(
        "our own form: patterns, sizes with units, ranges, all of them together",
        arguments: [
            Example("serial=VeryFakeSerial", "b"), Example("serial=veryfake*", "b"), Example("SERIAL=*fake*", "ab"),
            Example("serial!=*fake*", "c"), Example("serial==s?", "c"), Example("model=[ob]*", "ab"),
            Example("name=/dev/sda", "a"), Example("name=sd[bc]", "bc"), Example("size>=60G", "ab"),
            Example("size>60G", "b"), Example("size<60G", "c"), Example("size<=64424509440", "ac"),
            Example("size=60G", "a"), Example("size!=60G", "bc"), Example("size=10G..60G", "ac"),
            Example("size=..59G", "c"), Example("size=61GiB..", "b"), Example("size=60", ""),
            Example("size=11GB..65GB", "a"), Example("size=10737418240", "c"), Example("size>=1.5G,size<=11G", "c"),
            Example("transport=usb", "b"), Example("tran=sata", "a"), Example("removable=yes", "b"),
            Example("removable!=yes", "ac"), Example("rotational=TRUE", "a"), Example("rotational=off", "bc"),
            Example("hctl=6:0:0:0", "b"), Example("hctl=0:0:*", "a"), Example("slot=0000:00:14.0/1.4", "b"),
            Example("port=*/1.4", "b"), Example("by_path=pci-0000:00:1f.2-ata-1", "a"), Example("by-path=*ata-1", "a"),
            Example("by_path=/dev/disk/by-path/pci*", "a"), Example("wwn=0x5002538e", "a"),
            Example("wwn=0x5002538eabcd", "a"), Example("wwn_vendor_extension=0xabcd", "a"),
            Example(#"vendor=Foo Inc\, Ltd"#, "a"), Example(" serial = s3 , size = 10G ", "c"),
            Example("model=*model,transport=usb", "b"), Example("wwn!=x", "a"),
        ]
    )
    func short(_ example: Example) throws {
        #expect(try fitting(example.text).joined() == example.disks)
    }

    @Test(
        "Ironic's grammar, operator by operator; sizes without a unit are GiB",
        arguments: [
            Example("size= >= 70", "b"), Example("size= >=60", "ab"), Example("size= == 60", "a"),
            Example("size= = 60", "ab"), Example("size= = 0", "abc"), Example("size= != 60", "bc"),
            Example("size= < 60", "c"), Example("size= <= 60", "ac"), Example("size= > 60", "b"),
            Example("size= >= 60.5", "b"), Example("size= >= 70G", "b"), Example("size=<or> 10 <or> 120", "bc"),
            Example("size=<range-in> [ 10 60 ]", "ac"), Example("size= <range-in> ( 10 60 ]", "a"),
            Example("size=<range-in> [ 10 60 )", "c"), Example("size=<range-in> (10 60)", ""),
            Example("size=<range-in> [ 0 1 ]", ""), Example("size=<range-in> [ 0 10 ]", "c"),
            Example("model=s== big model", "b"), Example("model=s==big%20model", "b"),
            Example("model=s!= ok MODEL", "bc"),
            Example("model=s== 50%20off", "c"), Example("model=s== 50%2520off", "c"),
            Example("serial=s< g", "a"), Example("serial=s<= fakeserial", "a"), Example("serial=s> s3", "b"),
            Example("serial=s>= s3", "bc"), Example("model=<in> model", "ab"), Example("model= <in> big", "b"),
            Example("model=<in> mod <in> ok", "a"), Example("model=<all-in> big model", "b"),
            Example("serial=<all-in> fake", "ab"), Example("serial=<or> s3 <or> fakeserial", "ac"),
            Example("model=<or> model 5 <or> foo <or> ok model <or>", "a"),
            Example("name=<or> /dev/sda <or> /dev/sdb", "ab"),
            Example("model=<IN> BIG", "b"),
        ]
    )
    func ironic(_ example: Example) throws {
        #expect(try fitting(example.text).joined() == example.disks)
    }

    @Test(
        "Ironic's dictionary, as the nodes of a cloud have it",
        arguments: [
            Example(#"{"size": ">= 70"}"#, "b"), Example(#"{"size": 60}"#, "a"), Example(#"{"size": "60"}"#, "a"),
            Example(#"{"rotational": false}"#, "bc"), Example(#"{"rotational": "yes"}"#, "a"),
            Example(#"{"size": ">= 50", "model": "s==big model", "serial": "s==veryfakeserial"}"#, "b"),
            Example(#"{"size": "<= 20", "model": "<or> x <or> 50%20off <or>", "serial": "s== s3"}"#, "c"),
            Example(#"{"rotational": false, "model": "<in> big"}"#, "b"),
            Example(#"{"size": "120", "model": "big model", "serial": "veryfakeserial"}"#, "b"),
            Example(#"{"size": ">=50", "model": "s==foo"}"#, ""), Example(#"{"name": "s== /dev/sda"}"#, "a"),
            Example(#"{"vendor": "foo inc, ltd"}"#, "a"), Example(#" {"hctl": "0:0:0:0"} "#, "a"),
            Example(#"{"wwn_with_extension": "0x5002538eabcd"}"#, "a"), Example(#"{"model": "*"}"#, ""),
        ]
    )
    func dictionary(_ example: Example) throws {
        #expect(try fitting(example.text).joined() == example.disks)
    }

    @Test(
        "what a shell has eaten, and what is no hint, is a wrong command line, with what to write",
        arguments: [
            ("size", "eaten by the shell"), ("serial=4C53*,size", "eaten by the shell"),
            ("size=", "eaten by the shell"),
            ("serial= ,size>=7G", "eaten by the shell"), ("size>=", "eaten by the shell"),
            ("model=s==", "has no value"),
            ("model=<in>", "has no value"), ("model=<or> <or>", "has no value"),
            ("serail=4C53", "did you mean 'serial'?"),
            ("colour=red", "there is no hint 'colour'"), ("size=big", "has no size"), ("size>=7X", "has no size"),
            ("size=33G..7G", "is no range"), ("size=..", "is no range"), ("size= >= -3", "has no size"),
            ("size=<range-in> [ 9 7 ]", "ends before it begins"), ("size=<range-in> [ 7 ]", "cannot be read"),
            ("size=<range-in> 7 9", "cannot be read"), ("size=s== 7", "compares texts"),
            ("size=<in> 7", "compares texts"),
            ("model= >= 7", "compares numbers"), ("model>=7", "compares a text"),
            ("removable=maybe", "neither yes nor no"),
            ("rotational= == yes", "takes yes or no"), ("serial=x,", "empty hint"), ("", "empty hint"),
            (#"{"size": "#, "no JSON object"), ("{}", "no hint in"), (#"{"wwn": 123}"#, "is not a text"),
            (#"{"size": "not-int"}"#, "has no size"), (#"{"size": -123}"#, "has no size"),
            (#"{"rotational": "not-bool"}"#, "neither true nor false"),
            (#"{"non-existent": "foo"}"#, "there is no hint"),
            (#"{"size": true}"#, "is not a text"), (#"{"model": ""}"#, "has no value"),
            (#"{"size": "<or> 123 <or> non-int"}"#, "has no size"),
        ]
    )
    func wrong(text: String, sentence: String) {
        let error = #expect(throws: FlashlayerError.self) { _ = try DiskHints(text) }
        #expect(error?.code == .usage)
        #expect(error?.message.contains(sentence) == true, "\(error?.message ?? "")")
    }

    @Test(
        "a path is a path whatever is in it, and everything with an operator is hints",
        arguments: [
            ("/dev/sdb", false), ("/dev/disk/by-id/usb-a=b,c", false), ("./x=y", false), ("sdb", false),
            ("null:", false),
            ("", false), ("serial=x", true), ("size", true), ("size>7G", true), ("{\"size\": 7}", true), ("a,b", true),
        ]
    )
    func meant(argument: String, isHint: Bool) {
        #expect(DiskHints.isMeant(by: argument) == isHint)
    }

    @Test("exactly one disk is chosen; of several all are named, and none is taken")
    func choice() throws {
        let inventory = try machine().inventory()
        #expect(try inventory.disk(chosenBy: DiskChoice("transport=usb")).path == "/dev/sdb")
        #expect(try inventory.disk(chosenBy: DiskChoice("/dev/disk/by-id/ata-ok")).path == "/dev/sda")
        let several = #expect(throws: FlashlayerError.self) {
            try inventory.disk(chosenBy: DiskChoice("serial=*fake*"))
        }
        #expect(several?.code == .ambiguous)
        #expect(several?.message == "the hints 'serial=*fake*' fit 2 disks: /dev/sda, /dev/sdb")
        #expect(several?.advice?.contains("/dev/sdb: 120 GiB, Big Model, serial VeryFakeSerial, port ") == true)
    }

    @Test("when none fits, the nearest ones are told, each with the hint that it misses")
    func nearMiss() throws {
        let inventory = try machine().inventory()
        let none = #expect(throws: FlashlayerError.self) {
            try inventory.disk(chosenBy: DiskChoice("serial=veryfake*,size=7"))
        }
        #expect(none?.code == .notFound)
        let advice = try #require(none?.advice)
        #expect(advice.hasPrefix("/dev/sdb: size is 128849018880 bytes (120 GiB), not 'size=7'"), "\(advice)")
        #expect(!advice.contains("/dev/sda:"), "the others miss more")
        let unknown = #expect(throws: FlashlayerError.self) { try inventory.disk(chosenBy: DiskChoice("slot=left")) }
        #expect(unknown?.advice?.contains("/dev/sda: slot is not known, not 'slot=left'") == true)
    }

    @Test("the disk that a sequence number stands for is found where no udevd makes links of it")
    func sequence() throws {
        let machine = try machine()
        try machine.write("4711", "/sys/class/block/sdb/diskseq")
        let inventory = try machine.inventory()
        #expect(try inventory.disk(chosenBy: DiskChoice("/dev/disk/by-diskseq/4711")).path == "/dev/sdb")
        let none = #expect(throws: FlashlayerError.self) {
            try inventory.disk(chosenBy: DiskChoice("/dev/disk/by-diskseq/4712"))
        }
        #expect(none?.code == .notFound)
    }

    @Test("a disk that fits and is refused gives its refusal, and not one that would be allowed")
    func refused() throws {
        let inventory = try FakeMachine.plain().inventory()
        let disk = try inventory.disk(chosenBy: DiskChoice("model=ssd*"))
        #expect(disk.path == "/dev/sda")
        #expect(inventory.refusals(of: disk, for: WriteRequest()).first?.code == .systemDisk)
    }
}
