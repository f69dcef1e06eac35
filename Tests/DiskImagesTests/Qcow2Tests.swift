// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import Programs
import TestSupport
import Testing
import Threads

@testable import DiskImages

@Suite("qcow2 in all its dialects")
struct Qcow2Tests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        try TestImage.create(
            folder.file("image.raw"),
            size: (8 << 20) + 1536,
            data: [0..<100_000, (2 << 20)..<(4 << 20), (7 << 20)..<(8 << 20)]
        )
    }

    /// What QEMU itself reads there.
    private func expectSameAsQEMU(_ name: String) async throws {
        try await shell("qemu-img convert -O raw \(name) flat", in: folder.path)
        let opened = try await ImageReference(folder.file(name)).open().source
        let source = try #require(opened as? any RandomAccessSource)
        #expect(source.facts.format == "qcow2")
        let wanted = try TestImage.bytes(of: folder.file("flat"))
        // Not on a thread of Swift's own: what QEMU's storage daemon shows is read from a process.
        #expect(try await onOwnThread(named: "test-read") { try contentByChunks(of: source) } == wanted)
    }

    /// Clusters that were written, zeroed with and without an allocation behind them, and discarded; parts of one.
    @Test(
        "reads as QEMU reads it, with zero clusters of every kind",
        arguments: [
            "compat=0.10", "compat=1.1", "extended_l2=on", "extended_l2=on,cluster_size=2M", "lazy_refcounts=on",
            "refcount_bits=1", "preallocation=metadata",
        ]
    )
    func dialects(options: String) async throws {
        try await shell(
            """
            qemu-img convert -f raw image.raw -O qcow2 -o \(options) image
            qemu-io -f qcow2 -c 'write -z 2M 64k' -c 'write -z -u 2176k 1M' -c 'write -P 7 5M 4k' \
              -c 'write -z 5124k 4k' -c 'discard 3584k 128k' -c 'write -P 9 3600k 512' image
            """,
            in: folder.path
        )
        try await expectSameAsQEMU("image")
    }

    @Test("a chain of three is read through, whatever lies at its end", arguments: ["qcow2", "raw", "qcow2 -c"])
    func chainOfThree(base: String) async throws {
        let format = base.prefix { $0 != " " }
        try await shell(
            """
            mkdir below
            qemu-img convert -f raw image.raw -O \(base) below/base
            qemu-img create -q -f qcow2 -b base -F \(format) below/middle 12M
            qemu-img create -q -f qcow2 -o extended_l2=on -b below/middle -F qcow2 top 16M
            qemu-io -f qcow2 -c 'write -P 1 1M 1M' -c 'write -z 3M 64k' below/middle
            qemu-io -f qcow2 -c 'write -P 2 1536k 4k' -c 'write -P 3 15M 512' -c 'write -z 7M 64k' top
            """,
            in: folder.path
        )
        let source = try await ImageReference(folder.file("top")).open().source
        #expect(source?.files == ["top", "below/middle", "below/base"].map { folder.file($0) })
        try await expectSameAsQEMU("top")
    }

    @Test(
        "what is not read as it stands is refused, with what to do",
        arguments: [
            ("qemu-img create -q -f qcow2 -o data_file=other image 8M", "in another file", "qemu-img convert"),
            (
                """
                # It measures the processor, and gives up where the kernel counts that too coarsely.
                for _ in {1..50}; do
                  qemu-img create -q --object secret,id=key,data=secret -f qcow2 \
                    -o encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10 image 8M && exit
                done
                exit 1
                """, "encrypted", "qemu-img convert --object secret"
            ),
            (
                "qemu-img create -q -f qcow2 image 8M; printf '\\1' | dd of=image bs=1 seek=79 conv=notrunc",
                "not closed cleanly", "qemu-img check"
            ),
            (
                "qemu-img create -q -f qcow2 image 8M; printf '\\2' | dd of=image bs=1 seek=79 conv=notrunc",
                "damaged", "qemu-img check"
            ),
        ]
    )
    func refused(make: String, message: String, advice: String) async throws {
        try await shell(make, in: folder.path)
        let error = await #expect(throws: FlashlayerError.self) {
            try await ImageReference(folder.file("image")).open()
        }
        #expect(error?.code == .badImage)
        #expect(error?.message.contains(message) == true)
        #expect(error?.advice?.contains(advice) == true)
    }

    /// Nobody is left to end them: they have to see that by themselves.
    @Test("the storage daemon and its mount go with a program that is killed", arguments: ["map", "write"])
    func killed(command: String) async throws {
        let outcome = try await FlashlayerProgram.script(
            """
            cd "$1" && mkdir t && head -c 128M /dev/urandom > data && qemu-img convert -f raw data -O vmdk image.vmdk
            place=$PWD/t/flashlayer-
            mounts() { grep -cF " $place" /proc/mounts; }
            daemons() { cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -cF "mountpoint=$place"; }
            case \(command) in
              map) set -- map image.vmdk -o x.bmap; sign= ;;
              write) set -- write --yes --json image.vmdk null:; sign='"phase":"write"' ;;
            esac
            TMPDIR=$PWD/t "$flashlayer" "$@" > log 2>&1 & program=$!
            for _ in {1..2000}; do [ "$(mounts)" -gt 0 ] && { [ -z "$sign" ] || grep -q "$sign" log; } && break; sleep 0.005; done
            [ "$(daemons)" -gt 0 ] || echo "no daemon ran"
            kill -KILL $program; wait $program
            [ $? = 137 ] || { echo "it ended before it was killed"; cat log; }
            for _ in {1..500}; do [ "$(mounts)$(daemons)$(ls t | wc -l)" = 000 ] && exit; sleep 0.02; done
            echo "left: $(mounts) mounts, $(daemons) daemons, $(ls t)"
            """,
            arguments: [folder.path]
        )
        #expect(outcome.output == "")
    }
}
