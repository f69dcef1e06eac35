// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Layers
import Model
import Programs
import TestSupport
import Testing

@testable import ImageBuilder

/// What goes into a layer's configs/ comes out of the archive, as GNU tar and Python see it.
@Suite("A layer's files, from its folder to what tar unpacks")
struct OverlayArchiveTests {
    let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private func shell(_ script: String) async throws -> String {
        try await Program("bash", debianPackage: "bash").run(["-euc", script, "bash", folder.path])
    }

    private func archive() async throws {
        let plan = try Plan(.folders(base: nil, layers: [folder.file("layer")]))
        try await OverlayArchive.write(plan.mergedOverlay, to: folder.file("a.tar"))
    }

    /// Kind, mode, size, links' targets, times, attributes and digests of all below a folder.
    private static let describe = """
        describe() (
            cd "$1"
            find . -mindepth 1 -print0 | LC_ALL=C sort -z | while IFS= read -r -d '' path; do
                printf '%q ' "$path"
                [ -d "$path" ] && stat --printf '%F %a\\n' -- "$path" || stat --printf '%F %a %s %h %Y %N\\n' -- "$path"
                if [ -f "$path" ] && [ ! -L "$path" ]; then sha256sum < "$path"; fi
                getfattr --absolute-names --no-dereference --encoding hex --dump --match - -- "$path" | tail -n +2
            done
        )
        """

    @Test("kinds, modes, times, odd names, empty folders, links and extended attributes are the same")
    func fidelity() async throws {
        _ = try await shell(
            """
            umask 022
            mkdir -p "$1/layer/configs/etc/empty" "$1/layer/configs/usr/bin"
            cd "$1/layer/configs"
            printf x > $'-leading\\ndash and \\\\x41'
            printf y > $'not-utf8-\\xff\\xfe'
            long=$(printf 'l%.0s' {1..200})
            mkdir "$long"
            printf z > "$long/$long"$'\\xff'
            ln -s $'/target\\n\\xff' etc/odd
            ln -s "../$long/$long/$long" etc/long
            printf tool > usr/bin/tool
            chmod 4755 usr/bin/tool
            touch -d 2001-01-01 usr/bin/tool
            setfattr -n user.binary -v 0x000aff3d usr/bin/tool
            setfattr -n user.folder -v text etc/empty
            setfacl -m u:1234:rwx,m::rwx usr/bin/tool
            setfacl -d -m g:4321:rx etc/empty
            [ "$(id -u)" != 0 ] || setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 \\
                -- $'-leading\\ndash and \\\\x41'
            find . -exec touch -h -d 2001-01-01 {} +
            """
        )
        try await archive()
        let seen = try await shell(
            """
            \(Self.describe)
            mkdir "$1/out"
            tar --extract --file "$1/a.tar" --directory "$1/out" --preserve-permissions --xattrs --xattrs-include='*'
            describe "$1/layer/configs" > "$1/before"
            describe "$1/out" > "$1/after"
            diff "$1/before" "$1/after"
            grep -c user.binary "$1/after"
            """
        )
        #expect(seen == "1\n")
    }

    @Test("names of one file stay names of one file")
    func hardLinks() async throws {
        _ = try await shell(
            """
            mkdir -p "$1/layer/configs/a" "$1/layer/configs/b"
            cd "$1/layer/configs"
            printf x > b/one
            ln b/one a/two
            ln b/one c
            printf x > d
            """
        )
        try await archive()
        let links = try await shell(
            """
            mkdir "$1/out"
            tar --extract --file "$1/a.tar" --directory "$1/out"
            cd "$1/out"
            [ b/one -ef a/two ] && [ b/one -ef c ] && ! [ b/one -ef d ] && cat b/one c && stat -c %h a/two d
            """
        )
        #expect(links == "xx3\n1\n")
    }

    @Test("holes stay holes: at the start, within, at the end, and alone")
    func sparse() async throws {
        _ = try await shell(
            """
            mkdir -p "$1/layer/configs"
            cd "$1/layer/configs"
            truncate -s 64M nothing
            truncate -s 10M start && printf end >> start
            head -c 100000 /dev/urandom > within && truncate -s 30M within && head -c 5000 /dev/urandom >> within
            head -c 1000 /dev/urandom > behind && truncate -s 20000001 behind
            head -c 3000000 /dev/urandom > full
            : > empty
            """
        )
        try await archive()
        #expect(try FileManager.default.attributesOfItem(atPath: folder.file("a.tar"))[.size] as? Int ?? 0 < 4 << 20)
        let seen = try await shell(
            """
            mkdir "$1/out"
            tar --extract --file "$1/a.tar" --directory "$1/out"
            diff -r "$1/layer/configs" "$1/out"
            cd "$1/out"
            stat -c '%n %s' *
            # Blocks of 512 bytes.
            stat -c '%n %b' nothing start within behind | while read -r name blocks; do [ $blocks -le 300 ] || echo "$name"; done
            python3 - "$1" << 'END'
            from sys import argv
            from tarfile import open as open_archive
            with open_archive(argv[1] + "/a.tar") as archive:
                for member in archive:
                    with open(argv[1] + "/layer/configs/" + member.name, "rb") as file:
                        assert archive.extractfile(member).read() == file.read(), member.name
            END
            """
        )
        #expect(
            seen == "behind 20000001\nempty 0\nfull 3000000\nnothing 67108864\nstart 10485763\nwithin 31462280\n"
        )
    }

    @Test("a file that changed since the layers were read is noticed, also in its holes")
    func changed() async throws {
        _ = try await shell("mkdir -p \"$1/layer/configs\" && truncate -s 1M \"$1/layer/configs/f\"")
        let plan = try Plan(.folders(base: nil, layers: [folder.file("layer")]))
        _ = try await shell("printf x | dd of=\"$1/layer/configs/f\" bs=1 seek=5000 conv=notrunc status=none")
        await #expect(throws: FlashlayerError.self) {
            try await OverlayArchive.write(plan.mergedOverlay, to: folder.file("a.tar"))
        }
    }
}

/// Independent readers of what comes of random trees.
@Suite("Archives of random layers")
struct OverlayFuzzTests {
    @Test("name nothing outside the guest, and unpack to what the layers say, leaving all around alone")
    func archives() async throws {
        let folder = try TemporaryFolder()
        var counts: [String] = []
        for seed in 0..<150 as Range<UInt64> {
            let place = folder.file("\(seed)")
            for name in ["", "/sentinel", "/sentinel/guest"] {
                try FileManager.default.createDirectory(atPath: place + name, withIntermediateDirectories: true)
            }
            var project = RandomProject(in: place, seed: seed)
            let plan = try Plan(.folders(base: nil, layers: project.writeOverlays()))
            try await OverlayArchive.write(plan.mergedOverlay, to: "\(place)/a.tar")
            // A file behind a layer's own link needs the guest as its root.
            let links = plan.mergedOverlay.filter { if case .symlink = $0.kind { true } else { false } }.map(\.path)
            let isBehindLink = plan.mergedOverlay.contains { entry in
                links.contains { entry.path != $0 && entry.path.isWithin($0) }
            }
            #expect(project.isOutsideUntouched, "seed \(seed): the generator itself went astray")
            counts.append("\(seed) \(isBehindLink ? "-" : "\(plan.mergedOverlay.count)")\n")
        }
        try folder.write(counts.joined(), to: "counts")
        let complaints = try await Program("bash", debianPackage: "bash").run(["-uc", Self.judge, "bash", folder.path])
        #expect(complaints == "")
    }

    private static let judge = """
        cd "$1"
        while read -r seed count; do
            (
                cd $seed/sentinel
                echo outside > file
                before=$(find . -path ./guest -prune -o -printf '%P %y %s %i %l\\n'; find ../outside -printf '%P %y %s %i %C@\\n')
                tar --extract --file ../a.tar --directory guest --no-same-owner 2> ../errors
                status=$?
                after=$(find . -path ./guest -prune -o -printf '%P %y %s %i %l\\n'; find ../outside -printf '%P %y %s %i %C@\\n')
                [ "$before" = "$after" ] || echo "$seed: something outside changed"
                [ "$count" = - ] && exit
                [ $status = 0 ] || echo "$seed: $(head -n 1 ../errors)"
                found=$(find guest -mindepth 1 -printf x | wc -c)
                [ "$found" = "$count" ] || echo "$seed: $found of $count"
            )
        done < counts
        python3 - << 'END'
        from glob import glob
        from tarfile import open as open_archive
        for path in glob("*/a.tar"):
            with open_archive(path) as archive:
                names = set()
                for member in archive:
                    parts = member.name.split("/")
                    if member.name.startswith("/") or ".." in parts or "." in parts or "" in parts:
                        print(path, repr(member.name))
                    if member.islnk() and member.linkname not in names:
                        print(path, repr(member.linkname), "is no earlier name")
                    if not (member.isdir() or member.isreg() or member.issym() or member.islnk()):
                        print(path, member.type)
                    names.add(member.name)
        END
        """
}
