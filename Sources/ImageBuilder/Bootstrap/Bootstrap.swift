// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import FoundationEssentials
import Glibc
import Layers
import Model
import Programs
import Resolution

/// Makes a disk with a fresh Debian on it. The packages are installed here, natively, and the file system is filled
/// without mounting it; only the boot loader needs a launch of the appliance.
struct Bootstrap: Sendable {
    let plan: Plan
    let suite: String
    let mirror: String?
    /// Of the base phase.
    let key: Digest
    /// Versions to be preferred.
    let locked: [LockedPackage]
    let work: WorkFolder
    let accelerator: Accelerator
    let log: BuildLog

    private let begin = Int(time(nil))
    private var root: String { work.file("root") }
    private var disk: String { work.file("disk.raw") }

    /// - Parameter entry: the folder that becomes the cache's entry.
    /// - Returns: what is on the disk, and the packages that it is made of.
    func make(into entry: String) async throws -> (GuestFacts, [LockedPackage]) {
        try await HostCheck.bootstrap()
        let layout = try DiskLayout(size: plan.image.bootstrapSize, firmware: plan.image.firmware)
        let debian = DebianBootstrap(
            suite: suite,
            mirror: mirror ?? "http://deb.debian.org/debian",
            firmware: plan.image.firmware,
            kernelArguments: plan.image.kernelArguments,
            rootID: try DiskLayout.uuid(of: "root-file-system", key),
            fatID: try DiskLayout.fatID(key)
        )
        try await install(debian)
        try await makeDisk(layout, debian)
        let facts = facts(layout)
        await WorkFolder.remove(root)
        log.tell(.activity("installing the boot loader"))
        try await installBootLoader(layout, entry: entry)
        log.tell(.activity("keeping the base"))
        try await QEMU.image().run([
            "convert", "-q", "-W", "-m", "8", "-f", "raw", "-O", "qcow2", disk, "\(entry)/disk.qcow2",
        ])
        unsafe unlink(disk)
        return (facts, try installedPackages())
    }

    private var packageList: String { work.file("base-packages") }

    private func installedPackages() throws -> [LockedPackage] {
        let lines = FileManager.default.contents(atPath: packageList).map { String(decoding: $0, as: UTF8.self) } ?? ""
        let packages = lines.split(separator: "\n").compactMap { LockedPackage(line: String($0)) }
        guard !packages.isEmpty else {
            throw FlashlayerError(.fault, "mmdebstrap did not say what it has installed")
        }
        return packages
    }

    private func install(_ debian: DebianBootstrap) async throws {
        log.tell(.activity("installing Debian \(suite) from \(debian.mirror)"))
        let hook = work.file("customize-hook")
        try HostFile.write(debian.customizeHook, to: hook, mode: 0o755)
        let bootstrap = try Program("mmdebstrap", debianPackage: "mmdebstrap")
        // A mount namespace and a process namespace of its own: however it ends, no process and no mount is left. And for
        // an ordinary user, one in which they are root, since the files belong to several users of the new system.
        let unshare = try Program("unshare", debianPackage: "util-linux")
        let pins = try pinOptions()
        let sources = work.file("sources.list")
        try HostFile.write(debian.sources, to: sources)
        let outcome = try await SpaceWatch(path: work.path).during { [root, log, packageList] in
            try await unshare.outcome(
                (UserNamespace.isNeeded ? UserNamespace.arguments : []) + [
                    "--mount", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc", "--", bootstrap.path,
                    "--mode=root", "--variant=minbase", "--format=directory", "--architectures=amd64",
                    "--include=\(DebianBootstrap.packages(for: debian.firmware).joined(separator: ","))",
                    "--aptopt=APT::Install-Recommends \"false\"", "--aptopt=Acquire::Retries \"3\"",
                    // The disk is thrown away if anything fails: flushing after each package only costs time.
                    "--dpkgopt=force-unsafe-io",
                ] + pins + [
                    "--customize-hook=\(hook)",
                    "--customize-hook=download \(DebianBootstrap.packageList.shellQuoted) \(packageList.shellQuoted)",
                    "--customize-hook=rm \"$1\(DebianBootstrap.packageList)\"", debian.suite, root, sources,
                ],
                environment: [
                    "LC_ALL": "C.UTF-8", "TMPDIR": work.path, "SOURCE_DATE_EPOCH": "\(SourceDate.seconds)",
                ]
            ) { line in
                log.tell(.output(source: "mmdebstrap", line: line))
            }
        }
        guard outcome.status != 0 else { return try DeviceFiles.layLinks(in: root) }
        let lines = outcome.errors.split(separator: "\n")
        let errors = lines.filter { $0.hasPrefix("E: ") }
        let told = (errors.isEmpty ? lines.suffix(3) : errors.prefix(5)).map { "\n  \($0)" }.joined()
        throw FlashlayerError(
            .buildFailed,
            "Debian \(suite) cannot be installed from \(debian.mirror):\(told)",
            advice: "see whether this machine reaches that mirror and it has that suite; the whole log is \(log.path)"
        )
    }

    /// The locked versions, told to the apt that mmdebstrap uses; see apt_preferences(5).
    private func pinOptions() throws -> [String] {
        guard !locked.isEmpty else { return [] }
        let file = work.file("pins")
        let pins = locked.map { "Package: \($0.name)\nPin: version \($0.version)\nPin-Priority: 1001\n" }
        try HostFile.write(pins.joined(separator: "\n"), to: file)
        let place = DebianBootstrap.pins
        return [
            "--setup-hook=mkdir -p \"$1\(Path.parent(of: place))\"",
            "--setup-hook=upload \(file.shellQuoted) \(place)",
        ]
    }

    private func makeDisk(_ layout: DiskLayout, _ debian: DebianBootstrap) async throws {
        guard let partition = layout[.root] else { return }
        log.tell(.activity("making a disk of \(ByteSize.describe(layout.size))"))
        let needed = try await usedBytes()
        // Inodes, journal and the reserve of ext4 take some, and a system without any room does not even start.
        guard partition.size > needed + needed / 10 + 32 * ByteSize.mebibyte else {
            throw FlashlayerError(
                .guestFull,
                "Debian \(suite) does not fit: it takes \(ByteSize.describe(needed)), and the root file system has "
                    + ByteSize.describe(partition.size),
                advice: "make it larger: in flashlayer.toml, [image] size = \"2G\""
            )
        }
        try HostFile.write("", to: disk)
        guard unsafe truncate(disk, off_t(layout.size)) == 0 else {
            throw FlashlayerError.system("make \(disk)", .current, code: .cannotCreate)
        }
        let script = work.file("layout")
        try HostFile.write(try layout.sfdiskScript(key: key), to: script)
        let settings = work.file("mke2fs.conf")
        try HostFile.write(Self.mke2fsSettings, to: settings)
        let shell = Program(at: "/bin/sh")
        let sfdisk = try Program("sfdisk", debianPackage: "fdisk")
        try await shell.run(["-c", "exec \"$0\" --quiet \"$1\" < \"$2\"", sfdisk.path, disk, script])
        _ = try await SpaceWatch(path: work.path).during { [root, disk] in
            let (program, arguments) = try UserNamespace.asRoot(
                try Program("mke2fs", debianPackage: "e2fsprogs"),
                [
                    "-q", "-F", "-t", "ext4", "-U", debian.rootID, "-m", "1", "-d", root, "-E",
                    "offset=\(partition.offset),hash_seed=\(debian.rootID),assume_storage_prezeroed=1", disk,
                    "\(partition.size / 1024)k",
                ]
            )
            try await program.run(arguments, environment: ["MKE2FS_CONFIG": settings])
        }
        try await DeviceFiles.makeNodes(on: disk, offset: partition.offset, work: work)
        if let system = layout[.efiSystem] {
            try await Program("mkfs.vfat", debianPackage: "dosfstools").run([
                "-F", "32", "-s", "1", "-n", "ESP", "-i", debian.fatID.filter { $0 != "-" },
                "--offset", "\(system.offset / 512)", disk, "\(system.size / 1024)",
            ])
        }
    }

    private func installBootLoader(_ layout: DiskLayout, entry: String) async throws {
        let temporary = work.file("appliance")
        try Cache.makeFolder(temporary)
        var steps: [GuestStep] = [.mount(layout.mounts)] + FinishSteps.begin(begin)
        steps += BootLoaderSteps.install(for: plan.image.firmware)
        // mmdebstrap leaves this machine's own name there, or none.
        steps.append(.write("/etc/hostname", contents: "localhost\n", mode: 0o644))
        steps += FinishSteps.settleTimes(on: layout.mounts) + [.setTime("/etc", seconds: SourceDate.seconds)]
        steps += PackageState.keep(in: entry)
        steps += [.trim(layout.mounts.map(\.path)), .unmount]
        let job = ApplianceJob(
            drives: [.init(path: disk, format: "raw", readOnly: false)],
            accelerator: accelerator,
            network: false,
            temporaryFolder: temporary,
            stages: [.init(.base, steps)]
        )
        try await ApplianceRun(job: job, log: log).run()
    }

    /// As inspecting the disk would find it, without the ten seconds that it takes.
    private func facts(_ layout: DiskLayout) -> GuestFacts {
        func text(_ path: String) -> String {
            FileManager.default.contents(atPath: "\(root)/\(path)").map { String(decoding: $0, as: UTF8.self) } ?? ""
        }
        let version = text("etc/debian_version").filter { !$0.isNewline }
        let name = text("etc/os-release").split(separator: "\n").first { $0.hasPrefix("PRETTY_NAME=") }
        return GuestFacts(
            distribution: "debian",
            version: version,
            product: name.map { $0.dropFirst("PRETTY_NAME=".count).filter { $0 != "\"" } } ?? "Debian \(version)",
            architecture: "x86_64",
            packageFormat: "deb",
            packageManager: "apt",
            mounts: layout.mounts
        )
    }

    /// What the files take, in whole blocks.
    private func usedBytes() async throws -> UInt64 {
        let (program, arguments) = try UserNamespace.asRoot(
            try Program("du", debianPackage: "coreutils"),
            ["-sx", "--block-size=1", root]
        )
        let answer = try await program.run(arguments)
        return answer.split(whereSeparator: \.isWhitespace).first.flatMap { UInt64($0) } ?? 0
    }

    /// ext4 as Debian 12 makes it, whatever this machine's own mke2fs.conf says: GRUB 2.06 and older kernels read it.
    private static let mke2fsSettings = """
        [defaults]
            base_features = sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr
            default_mntopts = acl,user_xattr
            enable_periodic_fsck = 0
            blocksize = 4096
            inode_size = 256
            inode_ratio = 16384
        [fs_types]
            ext4 = {
                features = has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize
            }

        """
}
