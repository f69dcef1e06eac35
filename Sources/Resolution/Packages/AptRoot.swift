// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Layers
import Model
import Programs

/// The guest's apt, played on this machine: its sources, keys, pins and installed packages decide what is chosen; of this
/// machine's own apt nothing is used but the program and the way out to the network.
struct AptRoot: Sendable {
    private let root: String
    private let settings: String
    private let tell: BuildObserver

    /// - Parameters:
    ///   - state: a tar archive of what the guest's package manager knows.
    ///   - architecture: of the guest, as libguestfs names it.
    ///   - early: files that layers bring for the package manager.
    init(
        in work: WorkFolder,
        state: String,
        architecture: String,
        early: [OverlayEntry],
        tell: @escaping BuildObserver
    ) async throws {
        root = work.file("apt")
        settings = work.file("apt.conf")
        self.tell = tell
        guard !root.contains(where: \.isWhitespace) else {
            throw FlashlayerError(
                .unavailable,
                "apt cannot work in \(root): its files name places with no way to write a blank",
                advice: "use a cache without a blank in its path: FLASHLAYER_CACHE=/some/folder"
            )
        }
        try Cache.makeFolder(root)
        try await Program("tar", debianPackage: "tar").run([
            "--extract", "--file", state, "--directory", root, "--no-same-owner",
        ])
        for folder in [
            "etc/apt/sources.list.d", "etc/apt/preferences.d", "etc/apt/trusted.gpg.d", "etc/apt/apt.conf.d",
            "lists/partial", "archives/partial", "none", "var/lib/dpkg", "var/lib/apt",
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

    /// Reads the lists of the guest's sources.
    ///
    /// - Throws: `packages-failed`.
    func update() async throws {
        tell(.activity("reading the package lists"))
        // apt tries again by itself, but not when a name server is silent for a moment.
        for pause in [2, 5, nil] {
            do {
                return try await apt(
                    ["update", "-q", "-o", "APT::Update::Error-Mode=any"],
                    what: "reading the guest's package sources"
                )
            } catch let error as FlashlayerError {
                guard let pause, error.message.contains("Temporary failure resolving") else { throw error }
                try await Task.sleep(for: .seconds(pause))
            }
        }
    }

    /// Prefers these versions to all others. Those whose files are at hand can be had even if no source has them any more.
    func prefer(_ packages: [LockedPackage], from repository: String?) throws {
        let pins = packages.map {
            "Package: \($0.name)\nPin: version \($0.version)\nPin-Priority: 1001\n"
        }
        try HostFile.write(pins.joined(separator: "\n"), to: "\(root)/etc/apt/preferences.d/00flashlayer-lock")
        guard let repository else { return }
        let source = "deb [trusted=yes] file:\(repository) ./\n"
        try HostFile.write(source, to: "\(root)/etc/apt/sources.list.d/flashlayer-lock.list")
    }

    /// What would be installed.
    ///
    /// - Parameter askedFor: who asks for a package of this name.
    /// - Throws: `packages-failed` when a name stands for nothing, or they cannot be installed together.
    func resolve(_ packages: [String], recommends: Bool?, askedFor: (String) -> String) async throws -> [LockedPackage]
    {
        let choice = recommends.map { ["-o", "APT::Install-Recommends=\($0)"] } ?? []
        let outcome = try await run(
            // Quieter, it would not say which dependencies are unmet.
            ["install", "--yes", "-q", "--print-uris"] + choice + ["--"] + packages.map(AptSteps.argument)
        )
        guard outcome.status == 0 else {
            throw AptRefusal(output: outcome.output, errors: outcome.errors, packages).error(askedFor: askedFor)
        }
        return try outcome.output.split(separator: "\n").filter { $0.hasPrefix("'") }.map { try package(String($0)) }
    }

    /// Names of installed packages that have a later version.
    func upgrades() async throws -> [String] {
        let outcome = try await run(["dist-upgrade", "--simulate", "-qq"])
        guard outcome.status == 0 else {
            throw AptRefusal(output: outcome.output, errors: outcome.errors).error { _ in "installed" }
        }
        return outcome.output.split(separator: "\n").filter { $0.hasPrefix("Inst ") }
            .compactMap { $0.split(separator: " ").dropFirst().first.map(String.init) }
    }

    /// `'http://deb.debian.org/debian/pool/main/j/jq/jq_1.6-2.1_amd64.deb' jq_1.6-2.1_amd64.deb 64924 SHA256:...`
    private func package(_ line: String) throws -> LockedPackage {
        let fields = line.split(separator: " ").map(String.init)
        let file = fields.count > 2 ? fields[1] : ""
        let parts = file.hasSuffix(".deb") ? file.dropLast(4).split(separator: "_").map(String.init) : []
        let digest = fields.first { $0.hasPrefix("SHA256:") }?.dropFirst("SHA256:".count)
        guard parts.count == 3, let digest else {
            throw FlashlayerError(
                .packagesFailed,
                "a package source of the guest gives no SHA-256 for \(parts.first ?? line)",
                advice: "use a repository that lists SHA256 digests; all made by current tools do"
            )
        }
        // apt writes the colon of an epoch so in names of files.
        let version = parts[1].replacing("%3a", with: ":")
        return LockedPackage(
            name: parts[0],
            version: version,
            architecture: parts[2],
            sha256: String(digest),
            file: file
        )
    }

    /// Brings exactly these files into a folder.
    ///
    /// - Throws: `packages-failed`, naming what the sources do not have any more.
    func download(_ packages: [LockedPackage], to folder: String) async throws {
        guard !packages.isEmpty else { return }
        tell(.activity("fetching \(packages.count) packages"))
        let names = packages.map { package in
            let architecture = package.architecture == "all" ? "" : ":\(package.architecture)"
            return "\(package.name)\(architecture)=\(package.version)"
        }
        let outcome = try await run(["download", "-q", "--"] + names, workingDirectory: folder)
        guard outcome.status != 0 else { return }
        let lines = outcome.errors.split(separator: "\n").filter { $0.hasPrefix("E: ") }.map { $0.dropFirst(3) }
        throw FlashlayerError(
            .packagesFailed,
            "fetching packages failed:\n  \(lines.prefix(5).joined(separator: "\n  "))",
            advice: "if a version is gone from the sources, choose anew: flashlayer update"
        )
    }

    private func apt(_ arguments: [String], what: String) async throws {
        let outcome = try await run(arguments)
        for line in outcome.output.split(separator: "\n") { tell(.output(source: "apt", line: String(line))) }
        guard outcome.status != 0 else { return }
        let lines = outcome.errors.split(separator: "\n").filter { $0.hasPrefix("E: ") || $0.hasPrefix("W: ") }
        throw FlashlayerError(
            .packagesFailed,
            "\(what) failed:\n  \(lines.suffix(5).joined(separator: "\n  "))",
            advice: "see whether this machine reaches them; the build log says more"
        )
    }

    private func run(_ arguments: [String], workingDirectory: String? = nil) async throws -> Program.Outcome {
        try await Program("apt-get", debianPackage: "apt").outcome(
            arguments,
            environment: ["APT_CONFIG": settings, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"],
            workingDirectory: workingDirectory
        ) { [tell] line in
            tell(.output(source: "apt", line: line))
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
            Acquire::ForceHash "SHA256";
            Acquire::Retries "3";
            \((guest + proxies).joined(separator: "\n"))

            """
    }
}
