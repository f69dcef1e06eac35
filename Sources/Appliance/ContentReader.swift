// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CGuestfs
import FoundationEssentials
import Layers
import Model

/// Reads what is in a guest by the library's own calls, since a guest may lack the programs, and those that it has may lie.
struct ContentReader {
    /// Names of a folder that are asked for in one call: an answer has to fit into the 4 MiB of one message.
    private static let batch = 1000

    let guest: GuestfsHandle
    let facts: GuestFacts
    /// A folder on this machine for what calls leave.
    let folder: String

    /// Mounts all file systems read-only and unmounts them again.
    func read() throws -> GuestContent {
        for mount in facts.mounts {
            try unsafe guest.check { unsafe guestfs_mount_ro($0, mount.device, mount.path) }
        }
        let folders = Dictionary(grouping: try names(), by: \.folder)
        let digests = try digests()
        var entries: [String: GuestContent.Entry] = [:]
        for (folder, names) in folders {
            for start in stride(from: 0, to: names.count, by: Self.batch) {
                let part = Array(names[start..<min(start + Self.batch, names.count)])
                for (name, entry) in zip(part, try self.entries(part, in: folder, digests)) {
                    entries[name.text] = entry
                }
            }
        }
        let hasEnvironment = try unsafe guest.ask { unsafe guestfs_is_file_opts_argv($0, "/etc/environment", nil) }
        var size = 0
        let environment =
            hasEnvironment ? try unsafe guest.string { unsafe guestfs_read_file($0, "/etc/environment", &size) } : nil
        let content = GuestContent(
            product: facts.product,
            packages: try packages(),
            environment: environment,
            entries: entries
        )
        try unsafe guest.check { unsafe guestfs_umount_all($0) }
        return content
    }

    // MARK: - Names and digests

    private func bytes(of file: String) throws -> [UInt8] {
        guard let data = FileManager.default.contents(atPath: file) else {
            throw FlashlayerError(.fault, "what the appliance was to leave in \(file) is not there")
        }
        try? FileManager.default.removeItem(atPath: file)
        return Array(data)
    }

    private func names() throws -> [Pathname] {
        let file = "\(folder)/names"
        try unsafe guest.check { unsafe guestfs_find0($0, "/", file) }
        return try bytes(of: file).split(separator: 0).map { Pathname($0) }
    }

    /// By path, of all regular files: the lines of sha256sum(1).
    private func digests() throws -> [Pathname: String] {
        let file = "\(folder)/digests"
        try unsafe guest.check { unsafe guestfs_checksums_out($0, "sha256", "/", file) }
        var digests: [Pathname: String] = [:]
        for var line in try bytes(of: file).split(separator: UInt8(ascii: "\n")) {
            // A backslash in front says that the name has escapes.
            let isEscaped = line.first == UInt8(ascii: "\\")
            if isEscaped { line = line.dropFirst() }
            let digest = String(decoding: line.prefix(64), as: UTF8.self)
            var name = Array(line.dropFirst(66))
            if isEscaped { name = Self.unescaped(name) }
            if name.starts(with: Array("./".utf8)) { name.removeFirst(2) }
            digests[Pathname(name)] = digest
        }
        return digests
    }

    private static func unescaped(_ name: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var rest = name[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\"), let next = rest.popFirst() else {
                result.append(byte)
                continue
            }
            switch next {
            case UInt8(ascii: "n"): result.append(UInt8(ascii: "\n"))
            case UInt8(ascii: "r"): result.append(UInt8(ascii: "\r"))
            default: result.append(next)
            }
        }
        return result
    }

    // MARK: - Entries

    private func entries(
        _ names: [Pathname],
        in folder: Pathname,
        _ digests: [Pathname: String]
    ) throws -> [GuestContent.Entry] {
        let path = Pathname([UInt8(ascii: "/")] + folder.bytes)
        var entries = try states(names, path)
        let attributes = try attributes(names, path)
        let links = entries.indices.filter { entries[$0].type == "l" }
        if !links.isEmpty {
            let targets = try unsafe GuestfsHandle.withVector(links.map { names[$0].name.bytes }) { vector in
                try unsafe path.withCString { path in
                    try unsafe guest.strings { unsafe guestfs_readlinklist($0, path, vector) }
                }
            }
            for (index, target) in zip(links, targets) { entries[index].content = target }
        }
        for index in entries.indices {
            if entries[index].type == "f" { entries[index].content = digests[names[index]] }
            entries[index].attributes = attributes[index]
        }
        return entries
    }

    private func states(_ names: [Pathname], _ folder: Pathname) throws -> [GuestContent.Entry] {
        try unsafe GuestfsHandle.withVector(names.map(\.name.bytes)) { vector in
            let list = try unsafe folder.withCString { path in
                try unsafe guest.structure { unsafe guestfs_lstatnslist($0, path, vector) }
            }
            defer { unsafe guestfs_free_statns_list(list) }
            // SAFETY: the list has `len` elements and is ours until it is freed.
            let states = unsafe UnsafeBufferPointer(start: list.pointee.val, count: Int(list.pointee.len))
            return unsafe states.map { Self.entry($0) }
        }
    }

    private static func entry(_ state: guestfs_statns) -> GuestContent.Entry {
        let mode = state.st_mode
        let type =
            switch mode & 0o170000 {
            case 0o040000: "d"
            case 0o100000: "f"
            case 0o120000: "l"
            case 0o020000: "c"
            case 0o060000: "b"
            case 0o010000: "p"
            default: "s"
            }
        return GuestContent.Entry(
            type: type,
            mode: UInt16(truncatingIfNeeded: mode & 0o7777),
            user: UInt32(truncatingIfNeeded: state.st_uid),
            group: UInt32(truncatingIfNeeded: state.st_gid),
            size: type == "f" ? UInt64(max(0, state.st_size)) : 0,
            content: type == "c" || type == "b" ? "device \(state.st_rdev)" : nil
        )
    }

    /// See guestfs_lxattrlist in guestfs(3): an element without a name starts each file and says how many follow.
    private func attributes(_ names: [Pathname], _ folder: Pathname) throws -> [[String: String]?] {
        try unsafe GuestfsHandle.withVector(names.map(\.name.bytes)) { vector in
            let list = try unsafe folder.withCString { path in
                try unsafe guest.structure { unsafe guestfs_lxattrlist($0, path, vector) }
            }
            defer { unsafe guestfs_free_xattr_list(list) }
            var result: [[String: String]?] = []
            // SAFETY: the list has `len` elements, each with a name that ends in NUL and a value of `attrval_len` bytes,
            // and is ours until it is freed.
            for index in 0..<Int(unsafe list.pointee.len) {
                let element = unsafe list.pointee.val[index]
                let name = unsafe element.attrname.map { unsafe String(cString: $0) } ?? ""
                if name.isEmpty {
                    result.append(nil)
                    continue
                }
                guard !result.isEmpty, let value = unsafe element.attrval else { continue }
                let bytes = unsafe UnsafeRawBufferPointer(start: value, count: Int(element.attrval_len))
                let hex = unsafe bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
                result[result.count - 1] = (result[result.count - 1] ?? [:]).merging([name: hex]) { _, new in new }
            }
            guard result.count == names.count else {
                throw FlashlayerError(
                    .fault,
                    "the appliance gave attributes of \(result.count) of \(names.count) files"
                )
            }
            return result
        }
    }

    // MARK: - Packages

    private func packages() throws -> [GuestContent.Package] {
        let roots = try unsafe guest.strings { unsafe guestfs_inspect_get_roots($0) }
        guard let root = roots.first else { return [] }
        let list = try unsafe guest.structure { unsafe guestfs_inspect_list_applications2($0, root) }
        defer { unsafe guestfs_free_application2_list(list) }
        // SAFETY: the list has `len` elements whose strings end in NUL, and is ours until it is freed.
        let found = unsafe UnsafeBufferPointer(start: list.pointee.val, count: Int(list.pointee.len))
        return unsafe found.map { package in
            func text(_ pointer: UnsafeMutablePointer<CChar>?) -> String {
                unsafe pointer.map { unsafe String(cString: $0) } ?? ""
            }
            let epoch = unsafe package.app2_epoch > 0 ? "\(unsafe package.app2_epoch):" : ""
            let release = unsafe text(package.app2_release)
            return unsafe GuestContent.Package(
                name: text(package.app2_name),
                version: epoch + text(package.app2_version) + (release.isEmpty ? "" : "-\(release)"),
                architecture: text(package.app2_arch)
            )
        }
    }
}

extension Pathname {
    /// What stands before the last slash.
    fileprivate var folder: Pathname {
        guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else { return "" }
        return Pathname(bytes[..<slash])
    }
}
