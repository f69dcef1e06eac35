// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// Gives files their SELinux labels. Everything that was written from outside has none, and an enforcing system does not
/// even start from such a disk.
package enum RelabelSteps {
    /// What the script ends with.
    package enum Outcome: Int32, Sendable {
        /// Every file has its label, or SELinux is off in this guest.
        case done = 0
        /// The guest uses SELinux and has no program that labels.
        case noProgram = 3
        /// The guest's program did not do it.
        case failed = 4
    }

    /// The file contexts of the guest's policy; printed by the script that needs help.
    package static let contextsFile = "\(GuestFolder.scratch)/file-contexts"
    /// The labels are put right by the guest itself at its first boot, which then takes longer and ends in a restart.
    package static let atFirstBoot = "/.autorelabel"

    /// Labels what was laid down, and nothing else, on a machine that runs and uses SELinux.
    package static func files(_ entries: [OverlayEntry]) -> [GuestStep] {
        guard !entries.isEmpty else { return [] }
        let list = "\(GuestFolder.scratch)/laid"
        // The text of a list whose items end with NUL: a path is bytes.
        let paths = entries.map { "/\($0.path.printfText)\\0000" }.joined(separator: "\n")
        let shell = """
            if ! command -v selinuxenabled > /dev/null || ! selinuxenabled; then exit 0; fi
            while IFS= read -r path; do printf %b "$path"; done < \(list) | restorecon -F -0 -f -
            """
        return [
            .write(list, contents: paths + "\n", mode: 0o600),
            .run(GuestCommand(shell: shell, source: "selinux", title: "giving the layers' files their SELinux labels")),
        ]
    }

    /// setfiles(8) of the guest: it knows its own policy best. File systems that cannot hold labels are left out: it would
    /// fail on them. `-m`: nor does it look for those that this kernel labels, which has no SELinux.
    package static let byGuest = GuestCommand(
        shell: """
            file=/etc/selinux/config
            [ -e $file ] || exit 0
            value() { sed -n "s/^[[:space:]]*$1=[[:space:]]*\\([A-Za-z0-9_-]*\\).*/\\1/p" $file | tail -n 1; }
            case $(value SELINUX) in
                enforcing | permissive) ;;
                *)
                    echo 'SELinux is off in this guest'
                    exit 0
                    ;;
            esac
            policy=$(value SELINUXTYPE)
            contexts=/etc/selinux/$policy/contexts/files/file_contexts
            if [ ! -s $contexts ]; then
                echo "SELinux is on in this guest, and its policy '$policy' is not installed: there are no labels to give"
                exit 0
            fi
            printf %s $contexts > \(contextsFile)
            if ! command -v setfiles > /dev/null; then exit \(Outcome.noProgram.rawValue); fi
            set -- -F -m
            while read -r device folder type options; do
                case $type in
                    ext2 | ext3 | ext4 | xfs | btrfs | f2fs | jfs) ;;
                    *) set -- "$@" -e "$(printf %b "$folder")" ;;
                esac
            done < /proc/mounts
            setfiles "$@" $contexts / || exit \(Outcome.failed.rawValue)
            # Once more, without changing anything: it names what still has another label.
            left=$(setfiles "$@" -n -v $contexts /etc /usr/bin /root)
            if [ -n "$left" ]; then
                printf '%s\\n' "$left" | head -n 10
                exit \(Outcome.failed.rawValue)
            fi
            echo "labelled and checked by setfiles, with the guest's policy '$policy'"
            """,
        source: "selinux",
        title: "giving files their SELinux labels"
    )
}
