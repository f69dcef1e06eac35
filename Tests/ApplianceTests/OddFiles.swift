// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import FoundationEssentials
import Glibc
import TestSupport
import Testing

/// Files that are easily lost on their way into a guest, and the shell commands that find them there.
enum OddFiles {
    /// - Parameters:
    ///   - earlier: the folder of a layer.
    ///   - later: of one that is applied after it.
    static func write(earlier: String, later: String, in folder: TemporaryFolder) throws {
        let configs = "\(later)/configs"
        // Behind a link that the other layer makes from the root.
        try folder.write("", to: "\(earlier)/configs/opt/app-1/first")
        try #require(unsafe symlink("/opt/app-1", folder.file("\(earlier)/configs/opt/app")) == 0)
        try folder.write("behind\n", to: "\(configs)/opt/app/second")

        let names: [[UInt8]] = [[0xFF] + Array(" -x\n".utf8), Array("-rf".utf8), Array("back\\slash".utf8)]
        try folder.write("", to: "\(configs)/etc/odd/plain")
        for name in names {
            let path = (Array(folder.file("\(configs)/etc/odd/").utf8) + name).map { CChar(bitPattern: $0) } + [0]
            try #require(unsafe close(creat(path, 0o644)) == 0)
        }
        try folder.write("a line end in its name\n", to: "\(configs)/var/log/odd\nname.log")

        let one = try folder.write("linked\n", to: "\(configs)/usr/local/share/one")
        try #require(unsafe link(one, folder.file("\(configs)/usr/local/share/two")) == 0)
        let holes = try folder.write("end", to: "\(configs)/usr/local/share/holes")
        try #require(unsafe truncate(holes, 50_000_000) == 0)
        let able = try folder.write("#!/bin/sh\n", to: "\(configs)/usr/local/share/able", mode: 0o755)
        // cap_net_bind_service, as setcap(8) writes it.
        let capability: [UInt8] = [0, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        let note: [UInt8] = [1, 0, 255]
        try #require(unsafe setxattr(able, "security.capability", capability, capability.count, 0) == 0)
        try #require(unsafe setxattr(able, "user.note", note, note.count, 0) == 0)
    }

    /// Lines of the later layer's `owners`.
    static let owners = "etc/odd/\\xff -x\\x0a 1:root 0640\nusr/local/share/able www-data:adm\n"

    /// Each is one line.
    static let checks = [
        "test \"$(readlink /opt/app)\" = /opt/app-1 && test \"$(cat /opt/app-1/second)\" = behind",
        #"odd=$(printf '/etc/odd/\377 -x\n.'); test "$(stat -c '%u:%g %a' "${odd%.}")" = '1:0 640'"#,
        #"test -f '/etc/odd/back\slash' && test -f /etc/odd/-rf"#,
        #"test -s "$(printf '/var/log/odd\nname.log')""#,
        "test /usr/local/share/one -ef /usr/local/share/two && test \"$(stat -c %h /usr/local/share/one)\" = 2",
        "test \"$(stat -c %s /usr/local/share/holes)\" = 50000000 && test \"$(stat -c %b /usr/local/share/holes)\" -le 16",
        "test \"$(stat -c '%U:%G %a' /usr/local/share/able)\" = 'www-data:adm 755'",
    ]

    /// What debugfs(8) says of a file's extended attributes.
    static let attributes = (
        request: "ea_list /usr/local/share/able", found: ["security.capability (20)", "user.note (3) = 01 00 ff"]
    )
}
