// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Layers
import Model
import Programs
import Resolution

/// The guest's apt, played on this machine: its sources, keys, pins and installed packages decide what is fetched; of this
/// machine's own apt nothing is used but the program and the way out to the network.
struct AptRoot: Sendable {
    /// A package as it will be installed.
    struct Download: Sendable, Equatable {
        /// `figlet_2.2.5-3+b1_amd64.deb`
        let file: String
        let sha256: String?

        /// `figlet`
        var name: String { String(file.prefix { $0 != "_" }) }
    }

    private let root: String
    private let settings: String
    private let cache: Cache
    private let log: BuildLog

    /// - Parameters:
    ///   - state: the archive that `PackageState` left.
    ///   - early: files that layers bring for the package manager.
    init(in work: WorkFolder, state: String, architecture: String, early: [OverlayEntry], cache: Cache, log: BuildLog)
        async throws
    {
        root = work.file("apt")
        settings = work.file("apt.conf")
        self.cache = cache
        self.log = log
        try Cache.makeFolder(root)
        try await Program("tar", debianPackage: "tar").run([
            "--extract", "--file", state, "--directory", root, "--no-same-owner",
        ])
        for folder in [
            "etc/apt/sources.list.d", "etc/apt/preferences.d", "etc/apt/trusted.gpg.d", "etc/apt/apt.conf.d",
            "lists/partial",
            "archives/partial", "none", "var/lib/dpkg", "var/lib/apt",
        ] {
            try Cache.makeFolder("\(root)/\(folder)")
        }
        for entry in early { try layDown(entry) }
        try rewriteSources()
        let guest = try await guestSettings()
        try HostFile.write(configuration(guest, proxies: try await Self.proxies(), architecture), to: settings)
    }

    /// Settings of the guest's apt that decide which packages are chosen. No others are used here: some would run programs.
    private static let guestKeys = ["APT::Install-Recommends", "APT::Install-Suggests", "APT::Default-Release"]

    /// - Throws: `packages-failed` when a source cannot be read or a name stands for nothing.
    func resolve(_ packages: [String], recommends: Bool?, askedFor: (String) -> String) async throws -> [Download] {
        log.tell(.activity("reading the package lists"))
        try await apt(
            ["update", "-q", "-o", "APT::Update::Error-Mode=any"],
            what: "reading the guest's package sources"
        )
        return try await list(Self.request(packages, recommends), askedFor: askedFor)
    }

    /// Brings here what is not in the cache yet.
    func download(_ list: [Download], for packages: [String], recommends: Bool?) async throws {
        for download in list {
            // A copy that is broken is found by apt, which knows the digest, and fetched again.
            unsafe link("\(cache.debs)/\(download.file)", "\(root)/archives/\(download.file)")
        }
        log.tell(.activity("fetching \(list.count) packages"))
        try await apt(
            ["install", "--yes", "-q", "--download-only"] + Self.request(packages, recommends),
            what: "fetching packages"
        )
        for download in list {
            unsafe link("\(root)/archives/\(download.file)", "\(cache.debs)/\(download.file)")
        }
    }

    private static func request(_ packages: [String], _ recommends: Bool?) -> [String] {
        let choice = recommends.map { ["-o", "APT::Install-Recommends=\($0)"] } ?? []
        return choice + ["--"] + packages.map(AptSteps.argument)
    }

    /// Makes a disk of the lists and archives.
    func makeDrive(_ downloads: [Download], at path: String) async throws {
        let folder = "\(root)/drive"
        try Cache.makeFolder("\(folder)/archives/partial")
        guard unsafe rename("\(root)/lists", "\(folder)/lists") == 0 else {
            throw FlashlayerError.system("move \(root)/lists", .current, code: .cannotCreate)
        }
        for download in downloads {
            guard unsafe link("\(root)/archives/\(download.file)", "\(folder)/archives/\(download.file)") == 0 else {
                throw FlashlayerError(.packagesFailed, "the package \(download.file) was not fetched")
            }
        }
        // The guest's apt would set these modes, and cannot: the drive is read-only.
        for (name, mode) in [("archives/partial", 0o700), ("lists/partial", 0o700), ("lists/auxfiles", 0o755)] {
            _ = unsafe chmod("\(folder)/\(name)", mode_t(mode))
        }
        let used = try await Program("du", debianPackage: "coreutils").run(["-sx", "--block-size=1M", folder])
        let mebibytes = used.split(whereSeparator: \.isWhitespace).first.flatMap { Int($0) } ?? 0
        try await Program("mke2fs", debianPackage: "e2fsprogs").run([
            "-q", "-F", "-t", "ext2", "-b", "4096", "-m", "0", "-d", folder, path, "\(mebibytes + mebibytes / 8 + 16)M",
        ])
    }

    private func list(_ arguments: [String], askedFor: (String) -> String) async throws -> [Download] {
        let outcome = try await run(["install", "--yes", "-qq", "--print-uris"] + arguments)
        guard outcome.status == 0 else { throw refusal(outcome, askedFor: askedFor) }
        return outcome.output.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard line.hasPrefix("'"), fields.count >= 3 else { return nil }
            let digest = fields.dropFirst(3).first { $0.hasPrefix("SHA256:") }
            return Download(file: String(fields[1]), sha256: digest.map { String($0.dropFirst("SHA256:".count)) })
        }
    }

    /// apt says "E: Unable to locate package NAME", among others.
    private func refusal(_ outcome: Program.Outcome, askedFor: (String) -> String) -> FlashlayerError {
        let lines = outcome.errors.split(separator: "\n").filter { $0.hasPrefix("E: ") }.map { String($0.dropFirst(3)) }
        let unknown = lines.compactMap { line in
            let start = "Unable to locate package "
            return line.hasPrefix(start) ? String(line.dropFirst(start.count)) : nil
        }
        guard unknown.isEmpty else {
            let names = unknown.map { "'\($0)' (\(askedFor($0)))" }
            return FlashlayerError(
                .packagesFailed,
                "the guest's package sources have no package named \(names.joined(separator: ", "))",
                advice:
                    "look for its right name: https://packages.debian.org, or bring its source in a layer: configs/etc/apt"
            )
        }
        let reason = (lines.isEmpty ? [outcome.output] : lines).joined(separator: "\n  ")
        return FlashlayerError(.packagesFailed, "the packages cannot be installed together:\n  \(reason)")
    }

    private func apt(_ arguments: [String], what: String) async throws {
        let outcome = try await run(arguments)
        for line in outcome.output.split(separator: "\n") { log.tell(.output(source: "apt", line: String(line))) }
        guard outcome.status != 0 else { return }
        let lines = outcome.errors.split(separator: "\n").filter { $0.hasPrefix("E: ") || $0.hasPrefix("W: ") }
        throw FlashlayerError(
            .packagesFailed,
            "\(what) failed:\n  \(lines.suffix(5).joined(separator: "\n  "))",
            advice: "see whether this machine reaches them; the build log says more"
        )
    }

    private func run(_ arguments: [String]) async throws -> Program.Outcome {
        try await Program("apt-get", debianPackage: "apt").outcome(
            arguments,
            environment: ["APT_CONFIG": settings, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"]
        ) { [log] line in
            log.tell(.output(source: "apt", line: line))
        }
    }

    // MARK: - Making the root

    private func layDown(_ entry: OverlayEntry) throws {
        // apt reads no file with another name.
        guard let name = entry.path.string, let source = entry.source.string else { return }
        let path = "\(root)/\(name)"
        try Cache.makeFolder(path.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" })
        unsafe unlink(path)
        switch entry.kind {
        case .directory:
            break
        case .file:
            guard let data = FileManager.default.contents(atPath: source) else {
                throw FlashlayerError.system("read \(entry.source)", .current, code: .badLayer)
            }
            try HostFile.write(data, to: path)
        case .symlink(let target):
            // Only within the copy: a key of this machine is never the guest's.
            guard let target = target.string, !target.split(separator: "/").contains("..") else { return }
            _ = unsafe symlink(target.hasPrefix("/") ? root + target : target, path)
        }
    }

    private func rewriteSources() throws {
        let folder = "\(root)/etc/apt"
        let names = try FileManager.default.contentsOfDirectory(atPath: "\(folder)/sources.list.d")
        for path in ["\(folder)/sources.list"] + names.map({ "\(folder)/sources.list.d/\($0)" }) {
            guard let data = FileManager.default.contents(atPath: path) else { continue }
            let text = String(decoding: data, as: UTF8.self)
            unsafe unlink(path)
            if path.hasSuffix(".sources") {
                try HostFile.write(AptSources.rewriteStanzas(text, root: root), to: path)
            } else if path.hasSuffix(".list") {
                try HostFile.write(AptSources.rewriteList(text, root: root), to: path)
            }
        }
    }

    private func guestSettings() async throws -> [String] {
        let reading = "\(root)/read.conf"
        try HostFile.write(
            """
            Dir::Etc::main "\(root)/etc/apt/apt.conf";
            Dir::Etc::parts "\(root)/etc/apt/apt.conf.d";

            """,
            to: reading
        )
        let lines = try await Program("apt-config", debianPackage: "apt").run(
            ["dump"],
            environment: ["APT_CONFIG": reading]
        )
        return lines.split(separator: "\n").map(String.init).filter { line in
            Self.guestKeys.contains { line.hasPrefix("\($0) ") }
        }
    }

    /// The way out to the network is this machine's.
    private static func proxies() async throws -> [String] {
        let lines = try await Program("apt-config", debianPackage: "apt").run(["dump"])
        return lines.split(separator: "\n").map(String.init).filter { line in
            ["Acquire::http::Proxy ", "Acquire::https::Proxy "].contains { line.hasPrefix($0) }
                && !line.hasSuffix("\"\";")
        }
    }

    private func configuration(_ guest: [String], proxies: [String], _ architecture: String) throws -> String {
        let foreign = FileManager.default.contents(atPath: "\(root)/var/lib/dpkg/arch").map {
            String(decoding: $0, as: UTF8.self).split(separator: "\n").map(String.init)
        }
        let own = architecture == "x86_64" ? "amd64" : architecture == "aarch64" ? "arm64" : architecture
        var architectures = [own]
        for name in foreign ?? [] where name != own { architectures.append(name) }
        return """
            Dir::Etc "\(root)/etc/apt";
            Dir::Etc::main "/dev/null";
            Dir::Etc::parts "\(root)/none";
            Dir::State "\(root)";
            Dir::State::lists "\(root)/lists";
            Dir::State::status "\(root)/var/lib/dpkg/status";
            Dir::State::extended_states "\(root)/var/lib/apt/extended_states";
            Dir::Cache "\(root)/cache";
            Dir::Cache::archives "\(root)/archives";
            Dir::Cache::pkgcache "";
            Dir::Cache::srcpkgcache "";
            Dir::Log "\(root)/log";
            Dir::Bin::dpkg "/bin/false";
            APT::Architecture "\(own)";
            #clear APT::Architectures;
            APT::Architectures { \(architectures.map { "\"\($0)\";" }.joined(separator: " ")) };
            APT::Sandbox::User "";
            APT::Get::AllowUnauthenticated "false";
            Acquire::Languages "none";
            Acquire::Retries "3";
            \((guest + proxies).joined(separator: "\n"))

            """
    }
}
