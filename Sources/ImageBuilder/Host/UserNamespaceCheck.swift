// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import Programs

/// Whether an ordinary user can make the tree of a new system, whose files belong to several users. Each thing that can be
/// in the way has its own command; that none of them is seen is no proof, so a namespace is made in the end.
struct UserNamespaceCheck {
    let host: HostView

    func finding() async -> HostCheck.Finding {
        if host.isRoot { return .good("not needed: this is root") }
        for program in ["newuidmap", "newgidmap"] where host.program(program) == nil {
            return lacking("the program '\(program)' is not installed", "apt-get install uidmap")
        }
        for (file, option) in [("/etc/subuid", "subuids"), ("/etc/subgid", "subgids")] where !hasRange(in: file) {
            return lacking(
                "\(file) gives \(host.userName) no 65536 IDs",
                "usermod --add-\(option) \(freeRange) \(host.userName)"
            )
        }
        for (key, bad) in [
            ("user/max_user_namespaces", "0"), ("kernel/unprivileged_userns_clone", "0"),
            ("kernel/apparmor_restrict_unprivileged_userns", "1"),
        ] where host.text("/proc/sys/\(key)")?.filter({ !$0.isWhitespace }) == bad {
            let name = key.split(separator: "/").joined(separator: ".")
            let value = key.hasPrefix("user/") ? "10000" : bad == "0" ? "1" : "0"
            return lacking("user namespaces are switched off (\(name) is \(bad))", "sysctl \(name)=\(value)")
        }
        return await trial()
    }

    private func trial() async -> HostCheck.Finding {
        guard let unshare = host.program("unshare") else {
            return lacking("the program 'unshare' is not installed", "apt-get install util-linux")
        }
        let arguments = UserNamespace.arguments + ["--mount", "--", "true"]
        guard let outcome = try? await Program(at: unshare).outcome(arguments), outcome.status == 0 else {
            let said = (try? await Program(at: unshare).outcome(arguments).errors) ?? ""
            let line = said.split(separator: "\n").first.map { " (\($0))" } ?? ""
            return lacking("a user namespace cannot be made\(line)", "sudo flashlayer build ...")
        }
        return .good("\(host.userName) can be root of a namespace")
    }

    private func lacking(_ evidence: String, _ remedy: String) -> HostCheck.Finding {
        .lacking("\(evidence): without root, Debian cannot be bootstrapped", remedy: remedy)
    }

    private struct Range {
        let owner: Substring
        let start: UInt64
        let count: UInt64
    }

    /// See subuid(5).
    private func ranges(in file: String) -> [Range] {
        (host.text(file) ?? "").split(separator: "\n").compactMap { line in
            let fields = line.split(separator: ":")
            guard fields.count == 3, let start = UInt64(fields[1]), let count = UInt64(fields[2]) else { return nil }
            return Range(owner: fields[0], start: start, count: count)
        }
    }

    /// The first range counts for `unshare --map-auto`; 65534 is an ID that every system has.
    private func hasRange(in file: String) -> Bool {
        let own = ranges(in: file).first { $0.owner == host.userName || $0.owner == "\(host.userID)" }
        return (own?.count ?? 0) >= 65534
    }

    /// IDs that nobody has, in the words of usermod(8).
    private var freeRange: String {
        let all = ranges(in: "/etc/subuid") + ranges(in: "/etc/subgid")
        let start = all.map { $0.start + $0.count }.reduce(100_000, max)
        return "\(start)-\(start + 65535)"
    }
}
