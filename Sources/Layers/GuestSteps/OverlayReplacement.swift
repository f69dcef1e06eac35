// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

extension OverlaySteps {
    /// Lays files over a machine that runs, and that has to go on whatever happens: the room is looked at first, every file
    /// is unpacked in a hidden folder of the folder that it goes to, and when all are there each takes its name by
    /// rename(2). On the way a file is the old one or the new one. Backups would do as well only where somebody is left to
    /// put them back: not after a power cut, nor after SIGKILL.
    ///
    /// - Parameter entries: what the archive holds: owners that are names are looked up in the guest.
    package static func replace(_ entries: [OverlayEntry], hostArchive: String) -> [GuestStep] {
        guard !entries.isEmpty else { return [] }
        let (ways, files) = sorted(entries)
        var lines = owners(entries).map { "chown \($0.shellQuoted) \(script)" }
        lines.append(replacement)
        if !files.isEmpty { lines.append("each_folder drop_staged\neach_folder count") }
        if !ways.isEmpty { lines.append("unpack \(list("ways"))") }
        if !files.isEmpty { lines.append(staging) }
        lines += folderOwners(entries)
        var steps: [GuestStep] = [.upload(hostPath: hostArchive, to: archive, mode: 0o600)]
        let lists = [
            ("ways", ways.map(\.path.printfText)), ("files", files.map(\.path.printfText)), ("folders", folders(files)),
        ]
        for (name, items) in lists where !items.isEmpty {
            steps.append(.write(list(name), contents: items.map { $0 + "\n" }.joined(), mode: 0o600))
        }
        return steps + [
            .write(script, contents: lines.joined(separator: "\n") + "\n", mode: 0o600),
            .run(command),
        ]
    }

    private static func list(_ name: String) -> String { "\(GuestFolder.scratch)/overlay-\(name)" }

    /// What must be there before anything is unpacked behind it: folders, and links that others lie behind.
    private static func sorted(_ entries: [OverlayEntry]) -> (ways: [OverlayEntry], files: [OverlayEntry]) {
        var parents: Set<Pathname> = []
        for entry in entries {
            var path = entry.path
            while let parent = path.parent, parents.insert(parent).inserted { path = parent }
        }
        let ways = entries.filter { $0.kind == .directory || parents.contains($0.path) }
        return (ways, entries.filter { $0.kind != .directory && !parents.contains($0.path) })
    }

    /// A line for each folder that files go to: KiB that they take there, and the folder's path for printf.
    private static func folders(_ files: [OverlayEntry]) -> [String] {
        var order: [Pathname] = []
        var sizes: [Pathname: UInt64] = [:]
        for entry in files {
            let folder = entry.path.parent ?? ""
            if sizes[folder] == nil { order.append(folder) }
            // A folder of its own takes a block, and so does what a file has in it.
            var bytes: UInt64 = sizes[folder] == nil ? 4096 : 0
            if case .file(let size, _) = entry.kind, entry.hardLink == nil { bytes += size.roundedUp(to: 4096) }
            sizes[folder, default: 0] += bytes
        }
        return order.map { "\((sizes[$0] ?? 0) / 1024) \($0.printfText)" }
    }

    private static let replacement = """
        # Names are bytes.
        export LC_ALL=C
        archive=\(archive)
        # Of this run alone; what an earlier one has left is called so as well.
        staged=$(mktemp -u \(ShellText.temporaryName))
        # KiB that all files take at most: an archive does not hold the holes in them.
        limit=$(($(stat -L -c %s $archive) / 1024))
        path_of() { # TEXT: what a command prints loses the line ends behind it, were it not for the dot
            path=$(printf %b. "$1")
            path=${path%.}
        }
        each_folder() { # FUNCTION: is given $path, a folder that files go to, and $kib, what they take
            [ -e \(list("folders")) ] || return 0
            while read -r kib text; do
                path_of "/$text"
                "$1"
            done < \(list("folders"))
        }
        drop_staged() {
            [ -d "$path/." ] || return 0
            # Where users may write, only what is root's own is ours.
            find "$path/." -maxdepth 1 -name '.flashlayer.??????????' -type d -user 0 -exec rm -rf -- {} +
        }
        count() { # adds up what each file system is to take
            while [ ! -d "$path/." ]; do path=${path%/*}; done
            # shellcheck disable=SC2046 # Numbers.
            set -- $(stat -L -c %d -- "$path/.") $(stat -f -c '%a %S %b' -- "$path/.")
            # Of a file system without a size nobody knows.
            [ "$4" != 0 ] || return 0
            eval "need=\\$((\\${need_$1:-0} + kib)) folders=\\$((\\${folders_$1:-0} + 4))"
            eval "need_$1=$need folders_$1=$folders"
            [ "$need" -le $((limit + folders)) ] || need=$((limit + folders))
            free=$(($2 * $3 / 1024))
            if [ "$need" -gt "$free" ]; then
                echo "the files take $need KiB, and the file system of ${path:-/} has $free KiB: No space left on device"
                exit \(ShellText.cannotCreate)
            fi
        }
        unpack() { # LIST [OPTION]...: of the archive
            list=$1
            shift
            while read -r text; do
                path_of "$text"
                printf '%s\\0' "$path"
            done < "$list" > "$list.0"
            if said=$(
                tar --extract --absolute-names --file $archive --directory / --keep-directory-symlink \\
                    --no-overwrite-dir --preserve-permissions --xattrs --xattrs-include='*' \\
                    --no-recursion --null --no-unquote --files-from="$list.0" "$@" 2>&1
            ); then
                return 0
            fi
            # First of all there has to be room for words.
            each_folder drop_staged
            printf '%s\\n' "$said"
            case $said in
                *'No space left on device'* | *'Disk quota exceeded'*) exit \(ShellText.cannotCreate) ;;
            esac
            exit 1
        }
        """

    private static var staging: String {
        """
        \(ShellText.isMounted)
        end() {
            status=$?
            trap '' TERM HUP INT
            each_folder drop_staged
            exit $status
        }
        trap end EXIT
        trap 'exit 143' TERM HUP
        trap 'exit 130' INT
        # Of members and of what hard links name, not of what symbolic ones say.
        unpack \(list("files")) --transform "flags=rh;s,\\([^/]*\\)\\$,$staged/\\1,"
        # Their blocks before their names: else a power cut may leave the name of an empty file.
        flush() { if [ -d "$path/$staged" ]; then sync -f -- "$path/$staged" || :; fi; }
        each_folder flush
        while read -r text; do
            path_of "/$text"
            new=${path%/*}/$staged/${path##*/}
            # Two paths may lead to one file, by a link on the way.
            if [ ! -e "$new" ] && [ ! -L "$new" ]; then continue; fi
            # As tar does with an empty folder.
            if [ -d "$path" ] && [ ! -L "$path" ]; then rmdir -- "$path"; fi
            # A file that is mounted, as /etc/hosts is in a container, can only be written where it is.
            mv -f -T -- "$new" "$path" 2> /dev/null || { is_mounted "$path" && cat -- "$new" > "$path"; } || {
                echo "$path cannot be replaced"
                exit \(ShellText.cannotCreate)
            }
        done < \(list("files"))
        each_folder drop_staged
        trap - EXIT TERM HUP INT
        """
    }
}
