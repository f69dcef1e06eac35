// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// Paths as the guest will see them: through its links to folders, so that `/bin/x` and `/usr/bin/x` are one file.
struct GuestPaths {
    /// Links that the guests of our distributions have had for years; see the UsrMerge and file-hierarchy(7).
    private static let known = [
        "bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib32": "usr/lib32", "lib64": "usr/lib64",
        "libx32": "usr/libx32", "var/run": "/run", "var/lock": "/run/lock",
    ]
    private static let mostLinks = 40

    private var links = known

    /// - Parameter overlay: of all layers; its links count as well.
    init(_ overlay: [OverlayEntry]) {
        for entry in overlay {
            if case .symlink(let target) = entry.kind { links[entry.path.text] = target.text }
        }
    }

    /// Without a leading slash, `.` and `..`; the last name is not followed, since it may be a link itself.
    func resolve(_ path: String) -> String {
        var pending = path.split(separator: "/").map(String.init)[...]
        var resolved: [String] = []
        var followed = 0
        while let name = pending.popFirst() {
            switch name {
            case ".": continue
            case "..":
                _ = resolved.popLast()
                continue
            default: resolved.append(name)
            }
            let target = pending.isEmpty ? nil : links[resolved.joined(separator: "/")]
            guard let target, followed < Self.mostLinks else { continue }
            followed += 1
            resolved = target.hasPrefix("/") ? [] : resolved.dropLast()
            pending = target.split(separator: "/").map(String.init) + pending
        }
        return resolved.joined(separator: "/")
    }
}
