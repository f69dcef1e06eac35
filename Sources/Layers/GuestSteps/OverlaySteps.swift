// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// Lays files over the guest.
package enum OverlaySteps {
    /// Of a disk that is thrown away if anything fails; see `replace` for a machine that runs.
    ///
    /// The guest's own tar unpacks, with the guest as its root: only so does a path that leads through a link of the guest
    /// (`/bin -> usr/bin`) end where it would in the running system, and the link stays one. With `--absolute-names` tar
    /// makes links that lead upwards or from the root at once, not last of all: another layer's files may lie behind them.
    ///
    /// - Parameter entries: what the archive holds: owners that are names are looked up in the guest.
    package static func unpack(_ entries: [OverlayEntry], hostArchive: String) -> [GuestStep] {
        guard !entries.isEmpty else { return [] }
        var lines = [
            "tar --extract --absolute-names --file \(archive) --directory / --keep-directory-symlink --no-overwrite-dir "
                + "--preserve-permissions --xattrs --xattrs-include='*'",
            "rm -f \(archive)",
        ]
        // tar has given files their owners by name, if the guest knows it: here a name that it does not know is noticed.
        for owner in owners(entries) { lines.append("chown \(owner.shellQuoted) \(script)") }
        lines += folderOwners(entries)
        return [
            .upload(hostPath: hostArchive, to: archive, mode: 0o600),
            .write(script, contents: lines.joined(separator: "\n") + "\n", mode: 0o600),
            .run(command),
        ]
    }

    static func folderOwners(_ entries: [OverlayEntry]) -> [String] {
        entries.filter { $0.hasOwnersLine && $0.kind == .directory }.flatMap { entry in
            [
                // Those that the guest had already were left alone.
                setPath(entry.path),
                "chown \("\(entry.user):\(entry.group)".shellQuoted) \"$path\"",
                // After the owner: changing that clears the set-user-ID bit.
                "chmod \(String(entry.mode, radix: 8)) \"$path\"",
            ]
        }
    }

    static var command: GuestCommand {
        GuestCommand(
            source: "configs",
            arguments: ["/bin/sh", "-eu", script],
            failure: .buildFailed,
            title: "laying the layers' files over the guest"
        )
    }

    static let archive = "\(GuestFolder.scratch)/overlay.tar"
    static let script = "\(GuestFolder.scratch)/overlay.sh"

    static func owners(_ entries: [OverlayEntry]) -> [String] {
        Set(entries.filter(\.hasOwnersLine).map { "\($0.user):\($0.group)" }).sorted()
    }

    /// A script is text, and a path need not be.
    private static func setPath(_ path: Pathname) -> String {
        if let string = path.string { return "path=\("/\(string)".shellQuoted)" }
        // What a command prints loses the line ends behind it, were it not for the dot.
        return "path=$(printf %b '/\(path.printfText).'); path=${path%.}"
    }

    /// libguestfs puts a file of its own in the place of /etc/resolv.conf around each command and back again afterwards:
    /// what a layer brings there is laid down last, and not by a command.
    package static func resolverFile(_ entries: [OverlayEntry]) -> [GuestStep] {
        guard let entry = entries.first(where: { $0.path == "etc/resolv.conf" }) else { return [] }
        switch entry.kind {
        case .directory: return []
        // What is there may be a link to a file that only the running system has.
        case .file:
            return [
                .remove("/etc/resolv.conf"),
                .upload(hostPath: entry.source.string ?? "", to: "/etc/resolv.conf", mode: entry.mode),
                .setTime("/etc/resolv.conf", seconds: SourceDate.seconds),
            ]
        case .symlink(let target): return [.link("/etc/resolv.conf", target: target.string ?? "")]
        }
    }
}
