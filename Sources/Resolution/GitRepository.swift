// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import FoundationEssentials
import Layers
import Model
import Programs

/// A layer's git repository, and the folder of one of its commits in the cache.
///
///     git/KEY.git      all branches and tags of a repository
///     git/KEY/COMMIT/  the files of a commit, submodules included
struct GitRepository: Sendable {
    struct Checkout: Sendable {
        let folder: String
        /// 40 hexadecimal digits.
        let commit: String
        /// As long as this is held, nobody prunes the folder.
        let use: EntryUse
    }

    let url: String
    /// A branch, tag or commit; nil: the repository's own default branch.
    let ref: String?
    /// Who asks: `flashlayer.toml:12`.
    let place: String
    let cache: Cache
    let isOffline: Bool

    private var repository: String { get throws { try "\(cache.path)/git/\(key).git" } }
    private var key: String { get throws { String(try SHA256.digest(of: url).hex.prefix(32)) } }

    private static let defaultBranch = "refs/flashlayer/HEAD"

    /// - Parameter commit: pinned; nil: what the branch or tag stands for now.
    /// - Throws: `unavailable` when it cannot be fetched, `layer-missing` when it has no such branch, tag or commit.
    func checkout(commit: String?, onActivity: (String) -> Void) async throws -> Checkout {
        let folder = "\(cache.path)/git/\(try key)"
        try Cache.makeFolder(folder)
        guard let use = EntryUse(of: folder) else {
            throw FlashlayerError(
                .busy,
                "the cache's copy of \(url.printable) is being removed",
                advice: "try again in a moment"
            )
        }
        EntryUse.touch(folder)
        if let commit {
            let path = "\(folder)/\(commit)"
            if FileManager.default.fileExists(atPath: path) { return Checkout(folder: path, commit: commit, use: use) }
        }
        let lock = try await KeyLock.hold("\(folder).lock") {
            onActivity("another flashlayer fetches \(url): waiting for it")
        }
        defer { withExtendedLifetime(lock) {} }
        if let commit, try await has(commit) {
            return try await lay(commit, in: folder, use)
        }
        guard !isOffline else {
            throw FlashlayerError(
                .unavailable,
                "\(place): the layer \(url.printable) is not in the cache\(commit.map { " at commit \($0)" } ?? ""), "
                    + "and --offline keeps it from being fetched",
                advice: "build once without --offline"
            )
        }
        onActivity("fetching \(url)")
        try await fetch()
        if let commit {
            guard try await has(commit) else { throw missing("commit \(commit), which flashlayer.lock names") }
            return try await lay(commit, in: folder, use)
        }
        return try await lay(try await resolve(), in: folder, use)
    }

    private func has(_ commit: String) async throws -> Bool {
        guard FileManager.default.fileExists(atPath: try repository) else { return false }
        return try await git(["--git-dir", try repository, "cat-file", "-e", "\(commit)^{commit}"]).status == 0
    }

    private func fetch() async throws {
        let repository = try repository
        if !FileManager.default.fileExists(atPath: repository) {
            try await require(["init", "--quiet", "--bare", repository])
        }
        var refs = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
        if ref == nil { refs.append("+HEAD:\(Self.defaultBranch)") }
        try await require(["--git-dir", repository, "fetch", "--quiet", "--prune", "--no-tags", "--", url] + refs)
    }

    /// As `git clone --branch` has it: a branch before a tag; then a commit.
    private func resolve() async throws -> String {
        guard let ref else { return try await commit(of: Self.defaultBranch) ?? { throw missing("default branch") }() }
        for name in ["refs/heads/\(ref)", "refs/tags/\(ref)"] {
            if let commit = try await commit(of: name) { return commit }
        }
        let isCommit = (7...40).contains(ref.utf8.count) && ref.allSatisfy(\.isHexDigit)
        if isCommit, let commit = try await commit(of: ref) { return commit }
        throw missing("branch, tag or commit '\(ref.printable)'\(try await nearMiss(ref))")
    }

    private func commit(of name: String) async throws -> String? {
        let outcome = try await git([
            "--git-dir", try repository, "rev-parse", "--quiet", "--verify", "--end-of-options", "\(name)^{commit}",
        ])
        guard outcome.status == 0 else { return nil }
        return String(outcome.output.prefix { !$0.isNewline })
    }

    private func nearMiss(_ ref: String) async throws -> String {
        let list = try await git([
            "--git-dir", try repository, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads", "refs/tags",
        ])
        let names = list.output.split(whereSeparator: \.isNewline).map(String.init)
        // What a clone calls `origin/main` is `main` in the repository itself.
        let own = names.filter { ref.hasSuffix("/\($0)") }.max { $0.utf8.count < $1.utf8.count }
        return (own ?? NearMiss.of(ref, among: names)).map { ": did you mean '\($0.printable)'?" } ?? ""
    }

    private func missing(_ what: String) -> FlashlayerError {
        FlashlayerError(
            .layerMissing,
            "\(place): the repository \(url.printable) has no \(what)",
            advice: "correct branch_or_tag; a commit has to be reachable from a branch or tag"
        )
    }

    /// Puts the files of a commit into the cache. What has its final name is complete.
    private func lay(_ commit: String, in folder: String, _ use: EntryUse) async throws -> Checkout {
        let path = "\(folder)/\(commit)"
        if FileManager.default.fileExists(atPath: path) { return Checkout(folder: path, commit: commit, use: use) }
        let temporary = "\(folder)/part"
        await WorkFolder.remove(temporary)
        try await require(["clone", "--quiet", "--no-checkout", "--no-tags", "--", try repository, temporary])
        // Submodules may be named relative to where the repository comes from.
        try await require(["-C", temporary, "remote", "set-url", "origin", url])
        try await require(["-C", temporary, "checkout", "--quiet", "--detach", commit])
        if FileManager.default.fileExists(atPath: "\(temporary)/.gitmodules") {
            guard !isOffline else {
                throw FlashlayerError(
                    .unavailable,
                    "\(place): the submodules of \(url.printable) are not in the cache, and --offline keeps them from "
                        + "being fetched",
                    advice: "build once without --offline"
                )
            }
            try await require(["-C", temporary, "submodule", "--quiet", "update", "--init", "--recursive"])
        }
        await WorkFolder.remove("\(temporary)/.git")
        do {
            try FileManager.default.moveItem(atPath: temporary, toPath: path)
        } catch {
            throw FlashlayerError(.cannotCreate, "cannot put \(url.printable) into \(path): \(error)")
        }
        return Checkout(folder: path, commit: commit, use: use)
    }

    /// A repository that lies on this machine may name submodules that do as well; git forbids that to others.
    private var isLocal: Bool { url.hasPrefix("/") || url.hasPrefix("file:") }

    private func git(_ arguments: [String]) async throws -> Program.Outcome {
        // Files come out as they were committed; nothing of a repository is run.
        var settings = ["core.hooksPath=/dev/null", "core.autocrlf=false", "core.symlinks=true", "gc.auto=0"]
        settings.append("advice.detachedHead=false")
        if isLocal { settings.append("protocol.file.allow=always") }
        return try await Program("git", debianPackage: "git").outcome(
            settings.flatMap { ["-c", $0] } + arguments,
            environment: [
                "GIT_TERMINAL_PROMPT": "0", "GIT_DIR": nil, "GIT_WORK_TREE": nil, "GIT_INDEX_FILE": nil,
                "LC_ALL": "C.UTF-8",
            ]
        )
    }

    private func require(_ arguments: [String]) async throws {
        let outcome = try await git(arguments)
        guard outcome.status != 0 else { return }
        let lines = outcome.errors.split(separator: "\n").suffix(3).map { "\n  \($0)" }.joined()
        throw FlashlayerError(
            .unavailable,
            "\(place): git cannot fetch the layer \(url.printable):\(lines)",
            advice: "see whether this works here: git ls-remote \(url.shellQuoted)"
        )
    }
}
