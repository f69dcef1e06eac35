// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Testing

@testable import Appliance

@Suite("Names of an appliance's disks")
struct DiskNamesTests {
    /// The kernel found the second disk first.
    let swapped = DiskNames([
        .init(kernel: "/dev/sdb", canonical: "/dev/sda"), .init(kernel: "/dev/sda", canonical: "/dev/sdb"),
        .init(kernel: "/dev/sdc", canonical: "/dev/sdc"),
    ])

    @Test(
        "a subvolume is named by the order of the drives, as every other name is already",
        arguments: [
            ("btrfsvol:/dev/sdb2/@", "btrfsvol:/dev/sda2/@"),
            ("btrfsvol:/dev/sda/a/b", "btrfsvol:/dev/sdb/a/b"),
            ("btrfsvol:/dev/sdc12/@home", "btrfsvol:/dev/sdc12/@home"),
            ("btrfsvol:/dev/sdaa1/@", "btrfsvol:/dev/sdaa1/@"),
            ("btrfsvol:/dev/guests/root/@", "btrfsvol:/dev/guests/root/@"),
            ("/dev/sdb2", "/dev/sdb2"), ("/dev/guests/root", "/dev/guests/root"),
        ]
    )
    func canonical(_ given: String, _ expected: String) {
        #expect(swapped.canonical(given) == expected)
    }

    @Test("two disks that changed places are out of order")
    func order() {
        #expect(!swapped.areInOrder)
        #expect(DiskNames([.init(kernel: "/dev/sda", canonical: "/dev/sda")]).areInOrder)
    }
}
