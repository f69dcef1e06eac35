// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// Makes an image of a guest that was built upon: what boots it is brought up to date, and what belongs to this one build
/// is removed, so that each copy becomes a machine of its own.
package enum FinishSteps {
    /// What the guest's package manager says is installed, as lines of name, version and architecture with tabs between.
    package static let packageList = "\(GuestFolder.scratch)/installed"

    /// What is newer than this file was changed by the build.
    ///
    /// - Parameter time: when the base was complete, in seconds since 1970: a build that goes on from a checkpoint did not
    ///   make all changes itself.
    package static func begin(_ time: Int) -> [GuestStep] {
        [
            .write("\(GuestFolder.scratch)/begin", contents: "", mode: 0o600),
            .setTime("\(GuestFolder.scratch)/begin", seconds: time),
        ]
    }

    /// - Parameter kernelArguments: to be added; empty where the base has them already.
    package static func boot(kernelArguments: [String]) -> [GuestStep] {
        var steps: [GuestStep] = []
        if !kernelArguments.isEmpty {
            let arguments = kernelArguments.joined(separator: " ")
            let shell = """
                if [ -d /etc/default/grub.d ] || [ -e /etc/debian_version ]; then
                    mkdir -p /etc/default/grub.d
                    cat \(GuestFolder.scratch)/kernel-arguments > \(BootLoaderSteps.argumentsFile)
                elif command -v grubby > /dev/null; then
                    grubby --update-kernel=ALL --args=\(arguments.shellQuoted)
                else
                    echo 'this guest has neither /etc/default/grub.d nor grubby'
                    exit 1
                fi
                """
            steps.append(
                .write(
                    "\(GuestFolder.scratch)/kernel-arguments",
                    contents: BootLoaderSteps.argumentsFileText(kernelArguments),
                    mode: 0o600
                )
            )
            steps.append(.run(GuestCommand(shell: shell, source: "finish", title: "adding kernel arguments")))
        }
        steps.append(.run(GuestCommand(shell: refresh, source: "finish", title: "bringing what boots up to date")))
        return steps
    }

    /// The time of the last change of a file's inode is compared, since what a layer brings keeps its own date. A script
    /// that has made the initramfs or the menu itself has made it for good.
    private static let refresh = """
        begin=\(GuestFolder.scratch)/begin
        changed() { # FILE INPUT...: an input was changed by this build, after FILE was made
            file=$1
            shift
            for input in "$@"; do
                [ -e "$input" ] || continue
                if [ -n "$(find "$input" -cnewer $begin -cnewer "$file" -print -quit)" ]; then return 0; fi
            done
            return 1
        }
        mkdir -p \(GuestFolder.notes)
        menu=\(GuestFolder.notes)/stale-update-grub
        if command -v update-initramfs > /dev/null; then
            for kernel in /boot/vmlinuz-*; do
                [ -e "$kernel" ] || continue
                version=${kernel#/boot/vmlinuz-}
                initramfs=/boot/initrd.img-$version
                if [ ! -e $initramfs ]; then
                    update-initramfs -c -k $version
                    : > $menu
                elif [ -e \(GuestFolder.notes)/stale-update-initramfs ] && [ $begin -nt $initramfs ] ||
                    changed $initramfs /etc/initramfs-tools /usr/share/initramfs-tools /etc/modprobe.d /etc/modules \\
                        /etc/crypttab /lib/modules/$version; then
                    update-initramfs -u -k $version
                fi
            done
        elif command -v dracut > /dev/null; then
            if changed $begin /etc/dracut.conf /etc/dracut.conf.d /etc/modprobe.d /etc/crypttab; then
                dracut --force --regenerate-all
            fi
        fi
        if command -v update-grub > /dev/null && [ -e /boot/grub/grub.cfg ]; then
            if [ -e $menu ] && [ $begin -nt /boot/grub/grub.cfg ] ||
                changed /boot/grub/grub.cfg /etc/default/grub /etc/default/grub.d /etc/grub.d; then
                update-grub
            fi
        fi
        """

    /// - Parameter kept: paths that layers brought, which stay whatever they are.
    package static func removeIdentity(kept: [OverlayEntry]) -> [GuestStep] {
        let list = "\(GuestFolder.scratch)/kept"
        // The text of a list, which need not be that of a path.
        let paths = kept.filter { $0.kind != .directory }.map { "/\($0.path.printfText)\n" }.joined()
        return [
            .write(list, contents: paths, mode: 0o600),
            .run(
                GuestCommand(
                    shell: [listPackages, shared, remove, confirm].joined(separator: "\n"),
                    source: "finish",
                    title: "removing the build's identity"
                )
            ),
        ]
    }

    private static let listPackages = """
        if [ -e /var/lib/dpkg/status ]; then
            dpkg-query -W -f '${db:Status-Status}\\t${Package}\\t${Version}\\t${Architecture}\\n' |
                sed -n 's/^installed\\t//p' > \(packageList)
        elif command -v rpm > /dev/null; then
            rpm -qa --qf '%{NAME}\\t%{EVR}\\t%{ARCH}\\n' | grep -v ^gpg-pubkey | sort > \(packageList)
        else
            : > \(packageList)
        fi
        """

    private static let shared = """
        # A path is bytes. One with a line end in it is left alone wherever paths are read line by line.
        LC_ALL=C
        export LC_ALL
        line_end='
        '
        printf %b "$(cat \(GuestFolder.scratch)/kept)" > \(GuestFolder.scratch)/kept.paths
        kept() { grep -Fxqs -- "$1" \(GuestFolder.scratch)/kept.paths; }
        seeds='/var/lib/systemd/random-seed /var/lib/urandom/random-seed /var/lib/systemd/credential.secret
            /boot/efi/loader/random-seed /boot/loader/random-seed'

        """

    private static let remove = """
        drop() {
            for path in "$@"; do
                { [ -e "$path" ] || [ -L "$path" ]; } || continue
                kept "$path" || rm -f -- "$path"
            done
        }
        drop_tree() { # what is below the folders, but not what layers brought
            for folder in "$@"; do
                [ -d "$folder" ] && [ ! -L "$folder" ] || continue
                find "$folder" -xdev ! -type d ! -path "*$line_end*" > \(GuestFolder.scratch)/found
                while IFS= read -r path; do drop "$path"; done < \(GuestFolder.scratch)/found
                find "$folder" -xdev -mindepth 1 -depth -type d -empty -delete
            done
        }

        # Package managers' lists and downloads.
        if [ -d /var/lib/apt/lists ]; then
            drop_tree /var/lib/apt/lists /var/cache/apt
            mkdir -p /var/lib/apt/lists/partial /var/cache/apt/archives/partial
        fi
        drop_tree /var/cache/dnf /var/cache/yum /var/cache/libdnf5 /var/cache/zypp /var/cache/PackageKit
        drop /var/cache/debconf/*-old /var/lib/dpkg/*-old /var/cache/ldconfig/aux-cache

        # What was logged and typed. Logs that stay open to be written to are emptied, so that owner and mode stay.
        drop_tree /var/log/journal
        find /var/log -xdev -type f ! -path "*$line_end*" > \(GuestFolder.scratch)/found
        while IFS= read -r path; do
            if kept "$path"; then continue; fi
            case $path in
                *.gz | *.xz | *.[0-9] | *.old) rm -f -- "$path" ;;
                *) [ ! -s "$path" ] || : > "$path" ;;
            esac
        done < \(GuestFolder.scratch)/found
        for home in /root /home/*; do
            drop "$home/.bash_history" "$home/.lesshst" "$home/.viminfo" "$home/.wget-hsts" "$home/.python_history"
            drop_tree "$home/.cache"
        done
        drop_tree /var/tmp
        drop /var/lib/dhcp/*.leases /var/lib/dhclient/*.lease* /var/lib/NetworkManager/*.lease \\
            /var/lib/NetworkManager/secret_key /var/lib/NetworkManager/timestamps

        rm -rf \(GuestFolder.notes)

        # What makes this one machine.
        drop $seeds
        drop /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub
        [ -L /var/lib/dbus/machine-id ] || drop /var/lib/dbus/machine-id
        # Empty, not absent: systemd then makes one at the first boot, also where / is read-only at first.
        kept /etc/machine-id || : > /etc/machine-id

        # Nobody but the package's installation makes these keys: they are made at the first boot.
        if [ -x /usr/sbin/sshd ] && [ -d /etc/systemd/system ] &&
            [ ! -e /usr/lib/systemd/system/sshd-keygen.target ]; then
            unit=/etc/systemd/system/ssh-host-keys.service
            if ! kept $unit; then
                cat > $unit <<'END'
        [Unit]
        Description=Make the SSH host keys of this machine
        ConditionPathExistsGlob=!/etc/ssh/ssh_host_*_key
        Before=ssh.service sshd.service ssh.socket

        [Service]
        Type=oneshot
        RemainAfterExit=yes
        ExecStart=/usr/bin/ssh-keygen -A

        [Install]
        WantedBy=multi-user.target
        END
            fi
            mkdir -p /etc/systemd/system/multi-user.target.wants
            ln -sf ../ssh-host-keys.service /etc/systemd/system/multi-user.target.wants/ssh-host-keys.service
        fi
        """

    private static let confirm = """
        left=0
        complain() { echo "still there: $1"; left=1; }
        kept /etc/machine-id || [ ! -s /etc/machine-id ] || complain /etc/machine-id
        for path in $seeds /etc/ssh/ssh_host_*_key /var/lib/apt/lists/*Release /var/cache/apt/archives/*.deb; do
            [ ! -e "$path" ] || kept "$path" || complain "$path"
        done
        [ ! -e \(GuestFolder.notes) ] || complain \(GuestFolder.notes)
        for path in /usr/sbin/*.deferred; do
            [ ! -e "$path" ] || complain "$path"
        done
        exit $left
        """
}
