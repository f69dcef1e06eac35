// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// Makes an image of a guest that was built upon: what boots it is brought up to date, and what belongs to this one build
/// is removed, so that each copy becomes a machine of its own.
package enum FinishSteps {
    /// What is installed, as lines of fields with tabs between. The first field says what a line is:
    ///
    ///     os    ID VERSION_ID, of os-release(5)
    ///     deb   name version architecture source source-version maintainer homepage
    ///     rpm   name version architecture source-rpm - vendor url license
    ///     pypi  name version - - - author homepage license
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

    /// What was changed since `begin` gets the time of `SourceDate`. The last change of a password is a day in the file itself;
    /// see shadow(5).
    package static func settleTimes(on mounts: [GuestFacts.Mount]) -> [GuestStep] {
        let shell = """
            begin=\(GuestFolder.scratch)/begin
            umask 077
            for file in /etc/shadow /etc/shadow-; do
                [ -f $file ] && [ -n "$(find $file -newer $begin)" ] || continue
                awk -F : -v OFS=: -v first=$(($(date -r $begin +%s) / 86400)) -v day=\(SourceDate.seconds / 86400) '
                    $3 >= first { $3 = day }
                    { print }
                ' $file > \(GuestFolder.scratch)/shadow
                cat \(GuestFolder.scratch)/shadow > $file
                rm -f \(GuestFolder.scratch)/shadow
            done
            for folder in \(mounts.map(\.path.shellQuoted).joined(separator: " ")); do
                # A file that nobody may change keeps its time.
                find "$folder" -xdev -newer $begin -exec touch -h -d @\(SourceDate.seconds) {} + 2> /dev/null || :
            done
            """
        return [.run(GuestCommand(shell: shell, source: "finish", title: "settling the times of files"))]
    }

    /// - Parameters:
    ///   - kernelArguments: to be added; empty where the base has them already.
    ///   - isRunning: the machine runs from its own disk, and its boot loader knows that one.
    package static func boot(kernelArguments: [String], isRunning: Bool = false) -> [GuestStep] {
        var steps: [GuestStep] = []
        if !kernelArguments.isEmpty {
            let arguments = kernelArguments.joined(separator: " ")
            let shell =
                ShellText.put
                    + """

                    if [ -d /etc/default/grub.d ] || [ -e /etc/debian_version ]; then
                        mkdir -p /etc/default/grub.d
                        # Written again, it would be newer than the menu.
                        cmp -s \(GuestFolder.scratch)/kernel-arguments \(BootLoaderSteps.argumentsFile) ||
                            put \(BootLoaderSteps.argumentsFile) < \(GuestFolder.scratch)/kernel-arguments
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
        let refresh = refresh(preparing: isRunning ? "" : BootLoaderSteps.nameDisk)
        steps.append(.run(GuestCommand(shell: refresh, source: "finish", title: "bringing what boots up to date")))
        return steps
    }

    /// The time of the last change of a file's inode is compared, since what a layer brings keeps its own date. A script
    /// that has made the initramfs or the menu itself has made it for good.
    ///
    /// - Parameter preparation: of making the menu, in a shell of its own.
    private static func refresh(preparing preparation: String) -> String {
        """
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
                (
                    \(preparation.split(separator: "\n").joined(separator: "\n            "))
                    update-grub
                )
            fi
        fi
        """
    }

    /// - Parameters:
    ///   - kept: paths that layers brought, which stay whatever they are.
    ///   - isRunning: the guest is a machine that runs: what it writes at all times is written again at once.
    package static func removeIdentity(kept: [OverlayEntry], isRunning: Bool = false) -> [GuestStep] {
        let list = "\(GuestFolder.scratch)/kept"
        // The text of a list, which need not be that of a path.
        let paths = kept.filter { $0.kind != .directory }.map { "/\($0.path.printfText)\n" }.joined()
        return [
            .write(list, contents: paths, mode: 0o600),
            .run(
                GuestCommand(
                    shell: (isRunning
                        ? [quieten, shared, remove, confirm(logs: false), tidy]
                        : [listPackages, shared, remove, confirm(logs: true)]).joined(separator: "\n"),
                    source: "finish",
                    title: "removing the build's identity"
                )
            ),
        ]
    }

    private static let listPackages = """
        {
            (. /etc/os-release && printf 'os\\t%s\\t%s\\n' "${ID:-}" "${VERSION_ID:-}") || :
            if [ -s /var/lib/dpkg/status ]; then
                dpkg-query -W -f '${db:Status-Status}\\tdeb\\t${Package}\\t${Version}\\t${Architecture}\\t${source:Package}\\t${source:Version}\\t${Maintainer}\\t${Homepage}\\n' |
                    sed -n 's/^installed\\t//p'
            elif command -v rpm > /dev/null; then
                rpm -qa --qf 'rpm\\t%{NAME}\\t%{EVR}\\t%{ARCH}\\t%{SOURCERPM}\\t\\t%{VENDOR}\\t%{URL}\\t%{LICENSE}\\n' |
                    grep -v '^rpm.gpg-pubkey' | LC_ALL=C sort
            fi
            # What pip installed; Python packages of the distribution are its package manager's.
            for file in /opt/*/venv/lib/python*/site-packages/*.dist-info/METADATA \\
                /usr/local/lib*/python*/*-packages/*.dist-info/METADATA; do
                [ -f "$file" ] || continue
                awk -F ': ' '
                    /^\\r?$/ { exit }
                    $1 ~ /^(Name|Version|Author|Home-page|License)$/ && !($1 in field) {
                        field[$1] = substr($0, length($1) + 3)
                        gsub(/[\\t\\r]/, " ", field[$1])
                    }
                    END {
                        printf "pypi\\t%s\\t%s\\t\\t\\t\\t%s\\t%s\\t%s\\n", field["Name"], field["Version"],
                            field["Author"], field["Home-page"], field["License"]
                    }
                ' "$file"
            done
        } > \(packageList)

        """

    private static let shared = """
        # A path is bytes. One with a line end in it is left alone wherever paths are read line by line.
        LC_ALL=C
        export LC_ALL
        line_end='
        '
        printf %b "$(cat \(GuestFolder.scratch)/kept)" > \(GuestFolder.scratch)/kept.paths
        kept() { grep -Fxqs -- "$1" \(GuestFolder.scratch)/kept.paths; }
        # What makes one machine, or one boot of it, and what it would be bad to find in each copy.
        seeds='/var/lib/systemd/random-seed /var/lib/urandom/random-seed /var/lib/random-seed
            /var/lib/systemd/credential.secret /boot/efi/loader/random-seed /boot/loader/random-seed
            /efi/loader/random-seed'
        keys='/etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub /etc/nvme/hostnqn /etc/nvme/hostid /var/lib/yum/uuid
            /etc/pki/consumer/*.pem /etc/pki/entitlement/*.pem /etc/sysconfig/rhn/systemid
            /var/lib/ubuntu-advantage/private/*'
        leases='/var/lib/dhcp/*.leases /var/lib/dhclient/*.lease* /var/lib/dhcpcd/*.lease* /var/lib/dhcpcd/duid
            /var/lib/NetworkManager/*.lease /var/lib/NetworkManager/secret_key /var/lib/NetworkManager/timestamps
            /var/lib/NetworkManager/seen-bssids'
        # Those of passwd(5) hold the hashes of before.
        backups='/etc/passwd- /etc/shadow- /etc/group- /etc/gshadow- /etc/subuid- /etc/subgid- /var/backups/*.bak
            /var/backups/dpkg.* /var/backups/apt.* /var/backups/alternatives.tar.* /etc/lvm/archive/*.vg
            /etc/lvm/backup/* /root/anaconda-ks.cfg /root/original-ks.cfg'
        # Found again, and on other hardware other ones.
        hardware='/etc/udev/rules.d/70-persistent-net.rules /etc/lvm/devices/system.devices /etc/lvm/cache/.cache
            /etc/blkid.tab /etc/blkid.tab.old /var/lib/chrony/drift /var/lib/ntp/ntp.drift /var/lib/ntpsec/ntp.drift'
        stamps='/var/lib/systemd/timers/stamp-* /var/lib/logrotate/status /var/lib/logrotate/logrotate.status
            /var/lib/rpm/__db.* /var/lib/lastlog/lastlog2.db /var/lib/wtmpdb/wtmp.db /var/account/pacct'
        personal="$seeds $keys $leases $backups $hardware $stamps"
        # Of packages, of crashes, of the machine that cloud-init took this one for, of journald.
        trees='/var/cache/apt /var/lib/apt/lists /var/cache/dnf /var/cache/yum /var/cache/libdnf5 /var/cache/zypp
            /var/cache/PackageKit /var/crash /var/lib/systemd/coredump /var/spool/abrt /var/lib/rhsm/cache
            /var/lib/rhsm/facts /var/lib/sss/db /var/lib/cloud/instances /var/lib/cloud/data /var/lib/cloud/sem
            /var/log/journal /var/tmp'
        histories='.bash_history .zsh_history .sh_history .ash_history .lesshst .viminfo .wget-hsts .python_history
            .mysql_history .psql_history .sqlite_history .node_repl_history .rnd'
        homes() { cut -d : -f 6 /etc/passwd | sort -u | grep '^/.'; }

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

        # Package managers' lists and downloads, and what makes one machine.
        drop $personal
        drop_tree $trees
        if [ -d /var/lib/apt/lists ]; then mkdir -p /var/lib/apt/lists/partial /var/cache/apt/archives/partial; fi
        drop /var/cache/debconf/*-old /var/lib/dpkg/*-old /var/cache/ldconfig/aux-cache /var/lib/cloud/instance
        homes > \(GuestFolder.scratch)/homes
        while IFS= read -r home; do
            for name in $histories; do drop "$home/$name"; done
            # The rest of .cache may be what a layer's script put there to be found.
            drop_tree "$home/.cache/pip"
        done < \(GuestFolder.scratch)/homes

        # Logs and mailboxes stay open to be written to: they are emptied, so that owner and mode stay.
        find /var/log /var/mail/ /var/spool/mail/ -xdev -type f ! -path "*$line_end*" 2> /dev/null \\
            > \(GuestFolder.scratch)/found || true
        while IFS= read -r path; do
            if kept "$path"; then continue; fi
            case $path in
                *.gz | *.xz | *.zst | *.bz2 | *.[0-9] | *.old | *-20[0-9][0-9][01][0-9][0-3][0-9]) rm -f -- "$path" ;;
                *) [ ! -s "$path" ] || : > "$path" ;;
            esac
        done < \(GuestFolder.scratch)/found

        rm -rf \(GuestFolder.notes)

        # A name by which an iSCSI server knows one machine: Debian makes one where the file says so, others where it is
        # not there.
        initiator=/etc/iscsi/initiatorname.iscsi
        if [ -e $initiator ] && ! kept $initiator; then
            if [ -e /etc/debian_version ]; then echo GenerateName=yes > $initiator; else rm -f $initiator; fi
        fi
        for path in /etc/sysconfig/network-scripts/ifcfg-*; do
            if [ -f "$path" ] && ! kept "$path"; then sed -i '/^HWADDR=/d' "$path"; fi
        done

        [ -L /var/lib/dbus/machine-id ] || drop /var/lib/dbus/machine-id
        # Empty, not absent: systemd then makes one at the first boot, also where / is read-only at first.
        kept /etc/machine-id || : > /etc/machine-id

        # Nobody but the package's installation makes these keys: they are made at the first boot.
        makes_keys=false
        for unit in sshd-keygen.target sshd-keygen.service; do
            if [ -e /usr/lib/systemd/system/$unit ] || [ -e /lib/systemd/system/$unit ]; then makes_keys=true; fi
        done
        if [ -x /usr/sbin/sshd ] && [ -d /etc/systemd/system ] && ! $makes_keys; then
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

    /// What would come back when the machine is switched off, or write to what was just emptied, is at rest before.
    private static let quieten = """
        if [ -d /run/systemd/system ]; then
            for unit in systemd-random-seed.service syslog.socket rsyslog.service systemd-timesyncd.service; do
                systemctl stop $unit 2> /dev/null || :
            done
            journalctl --relinquish-var > /dev/null 2>&1 || :
        fi

        """

    /// A disk of a virtual machine need not hold what was deleted.
    private static let tidy = "fstrim --all --quiet-unsupported 2> /dev/null || :"

    private static func confirm(logs: Bool) -> String {
        """
        left=0
        complain() { echo "still there: $1"; left=1; }
        kept /etc/machine-id || [ ! -s /etc/machine-id ] || complain /etc/machine-id
        [ -L /var/lib/dbus/machine-id ] || kept /var/lib/dbus/machine-id || [ ! -e /var/lib/dbus/machine-id ] ||
            complain /var/lib/dbus/machine-id
        for path in $personal; do
            [ ! -e "$path" ] || kept "$path" || complain "$path"
        done
        {
            \(logs ? filesLeft : ":")
            while IFS= read -r home; do
                for name in $histories; do [ ! -e "$home/$name" ] || printf '%s\\n' "$home/$name"; done
            done < \(GuestFolder.scratch)/homes
        } > \(GuestFolder.scratch)/found
        while IFS= read -r path; do kept "$path" || complain "$path"; done < \(GuestFolder.scratch)/found
        [ ! -e \(GuestFolder.notes) ] || complain \(GuestFolder.notes)
        for path in /usr/sbin/*.deferred; do
            [ ! -e "$path" ] || complain "$path"
        done
        \(logs ? "exit $left" : "[ $left = 0 ] || exit 1")
        """
    }

    private static let filesLeft = """
        for folder in $trees; do
                [ ! -d $folder ] || find $folder -xdev ! -type d ! -path "*$line_end*"
            done
            find /var/log -xdev -type f -size +0 ! -path "*$line_end*"
        """
}
