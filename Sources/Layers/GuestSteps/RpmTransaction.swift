// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// The shell text that `RpmSteps` runs in the guest: `install.sh MANAGER NETWORK WEAK`.
///
/// No package manager of this family can be believed when it says that all went well: dnf passes over names that it does
/// not know when it is given several jobs, over repositories that it cannot reach, and over versions older than what is
/// there. So its status counts, and what is installed afterwards is looked at as well.
enum RpmTransaction {
    static let script = [setting, asking, transaction, attempts, checks, record].joined(separator: "\n")

    private static let setting = """
        # Names may hold * and ?, which are the package manager's to read.
        set -f
        manager=$1 network=$2 weak=$3
        cd \(GuestFolder.scratch)/rpm
        downloads=\(GuestFolder.downloads)/rpm
        mkdir -p $downloads
        # The same name may stand for programs that understand different things.
        kind=$manager
        case $(readlink -f /usr/bin/$manager) in
            */dnf5) kind=dnf5 ;;
            */dnf*) kind=dnf ;;
        esac

        """

    private static let asking = """
        absent() { # NAME...: those that nothing installed answers to
            [ $# -gt 0 ] || return 0
            rpm -q --qf '' -- "$@" 2>&1 | sed -n 's/^package \\(.*\\) is not installed$/\\1/p' > absent.names
            while read -r name; do
                # A group is no package: that its own are there is the package manager's word.
                case $name in
                    @*) continue ;;
                    *://*)
                        name=${name##*/}
                        name=${name%.rpm}
                        ;;
                esac
                rpm -q --whatprovides -- "$name" > /dev/null 2>&1 && continue
                rpm -qa -- "$name" | grep -q . || printf '%s\\n' "$name"
            done < absent.names
        }
        present() { # NAME...: those that something installed goes by
            for name in "$@"; do
                if rpm -qa -- "$name" | grep -q .; then printf '%s\\n' "$name"; fi
            done
        }
        origin() { # NAME: who asks for it
            awk -F '\\t' -v name="$1" '
                $1 == name { text = text (text == "" ? "" : ", ") $2 }
                END { print text == "" ? "needed by others" : text }
            ' wanted needed unwanted
        }
        installed() {
            header=
            if rpm --querytags | grep -qx SHA256HEADER; then header='%{SHA256HEADER}'; fi
            rpm -qa --qf "%{NAME}\\t%{EVR}\\t%{ARCH}\\t$header\\n" | grep -v ^gpg-pubkey | LC_ALL=C sort || true
        }
        comma() { # WORD...
            printf '%s\\n' "$@" | paste -sd , -
        }

        wanted=$(cut -f 1 wanted)
        unwanted=$(cut -f 1 unwanted)
        wanted="$wanted $(absent $(cut -f 1 needed))"
        wanted=$(echo $wanted)
        removed=$(present $unwanted)
        removed=$(echo $removed)
        # What is not there must not come with something else. What is there cannot be excluded as well: it would then be
        # hidden from its own removal.
        excluded=
        for name in $unwanted; do
            case " $removed " in
                *" $name "*) ;;
                *) excluded="$excluded $name" ;;
            esac
        done
        installed > before

        """

    private static let transaction = """
        manage() { # ARGUMENT...
            rm -f status
            { /usr/bin/$manager "$@" 2>&1 < /dev/null || echo $? > status; } | tee output
            [ ! -e status ]
        }
        # Removals and installations belong into one transaction: what comes may conflict with what goes.
        transact() { # OPTION...: brings $wanted, removes $removed
            if [ -z "$wanted$removed" ]; then return 0; fi
            if [ $kind = zypper ]; then
                minus=$(printf ' -%s' $removed $excluded)
                manage --non-interactive --gpg-auto-import-keys "$@" $wanted ${minus% -}
                return
            fi
            [ -z "$excluded" ] || set -- "$@" --exclude=$(comma $excluded)
            if [ -z "$removed" ]; then
                manage -y "$@" install $wanted
            elif [ -z "$wanted" ]; then
                manage -y "$@" remove $removed
            else
                case $kind in
                    dnf5) manage -y "$@" do --action=remove $removed --action=install $wanted ;;
                    dnf | yum)
                        { echo remove $removed; echo install $wanted; echo run; } > jobs
                        manage -y "$@" shell jobs
                        ;;
                    *) manage -y "$@" remove $removed && manage -y "$@" install $wanted ;;
                esac
            fi
        }
        newest() { # whatever the package sources have now
            case $kind in
                dnf | dnf5) transact "$@" --refresh ;;
                yum) transact "$@" --setopt=metadata_expire=1 ;;
                *) transact "$@" ;;
            esac
        }

        # Signatures are checked unless a repository's own file says no, and one that does not answer is an error.
        set --
        case $kind in
            dnf | dnf5 | yum)
                set -- --setopt=gpgcheck=1 '--setopt=*.skip_if_unavailable=0' --setopt=keepcache=1
                if [ $kind = dnf5 ]; then
                    set -- "$@" --setopt=system_cachedir=$downloads
                else
                    set -- "$@" --setopt=cachedir=$downloads
                fi
                if [ $kind = yum ]; then
                    set -- "$@" --setopt=skip_missing_names_on_install=0
                elif [ $weak != default ]; then
                    set -- "$@" --setopt=install_weak_deps=$([ $weak = yes ] && echo 1 || echo 0)
                fi
                ;;
            zypper)
                set -- --cache-dir $downloads/zypp
                [ $network = yes ] || set -- "$@" --no-refresh
                set -- "$@" install
                case $weak in
                    yes) set -- "$@" --recommends ;;
                    no) set -- "$@" --no-recommends ;;
                esac
                set -- "$@" --
                ;;
        esac

        """

    private static let attempts = """
        unknown() {
            sed -n -e 's/^No match for argument: \\(.*\\)$/\\1/p' -e 's/^No package \\(.*\\) available.*$/\\1/p' \\
                -e 's/^\\(.*\\) package not found or not installed$/\\1/p' -e "s/^No provider of '\\(.*\\)' found.*$/\\1/p" \\
                -e 's/^All matches were filtered out by exclude filtering for argument: \\(.*\\)$/\\1/p' output | sort -u
        }
        give_up() {
            for name in $(unknown); do
                case $(cut -f 1 wanted needed) in
                    *"$name"*) echo "the guest's package sources have no package '$name' ($(origin "$name"))" ;;
                esac
            done
            [ ! -e locked ] || echo 'what the lock names cannot be had, or does not go together any more'
            exit 1
        }
        digests() { # those of the files that are named, a line each, as sha256sum(1) writes them
            xargs -r sha256sum
        }

        if [ ! -e locked ]; then
            if [ $network = yes ]; then
                newest "$@" || give_up
            else
                case $kind in
                    dnf | dnf5 | yum) transact "$@" -C || give_up ;;
                    *) transact "$@" || give_up ;;
                esac
            fi
        else
            # Files by name, as far as they are here and are the right ones.
            find $downloads -name '*.rpm' > files
            awk -F '\\t' 'FILENAME == ARGV[1] { n = split($0, part, "/"); path[part[n]] = $0; next }
                $5 in path { print path[$5] }' files locked | digests > sums
            awk -F '\\t' 'FILENAME == ARGV[1] { n = split($0, part, "/"); sum[part[n]] = substr($0, 1, 64)
                    path[part[n]] = substr($0, 67); next }
                $5 ~ /\\.rpm$/ { if (sum[$5] == $4) print path[$5] > "local"; else print $5 > "missing" }' sums locked
            [ -e local ] || : > local
            [ -e missing ] || : > missing
            included=$(awk -F '\\t' '{ print $1 "-" $2 "." $3 }' locked | paste -sd , -)
            case $kind in
                dnf | dnf5 | yum)
                    only="--setopt=*.includepkgs=$included"
                    if [ ! -s missing ]; then
                        # The lists that the files came with may be here as well. Where they are not, or know of newer
                        # versions only, the files alone do: that they are the right ones is certain.
                        transact "$@" "$only" -C || { [ $network = yes ] && transact "$@" "$only"; } || {
                            wanted=$(cat local)
                            transact "$@" '--disablerepo=*' -C || give_up
                            wanted=$(cut -f 1 wanted)
                        }
                    elif [ $network = yes ]; then
                        transact "$@" "$only" || give_up
                    else
                        while read -r file; do
                            echo "$file of the lock is not in the cache, and there is no network"
                        done < missing
                        exit 1
                    fi
                    ;;
                *) transact "$@" || give_up ;;
            esac
        fi

        """

    private static let checks = """
        failed=0
        for name in $(absent $wanted); do
            if unknown | grep -Fxq -- "$name"; then
                echo "the guest's package sources have no package '$name' ($(origin "$name"))"
            else
                echo "$manager passed over '$name' ($(origin "$name")): it is not installed"
            fi
            failed=1
        done
        for name in $(present $unwanted); do
            echo "'$name' must not be there ($(origin "$name")), and is"
            failed=1
        done
        [ $failed = 0 ] || exit 1

        """

    private static let record = """
        installed > after
        LC_ALL=C comm -13 before after > new
        find $downloads -name '*.rpm' > files
        awk -F '\\t' -v OFS='\\t' '
            FILENAME == ARGV[1] { n = split($0, part, "/"); path[part[n]] = $0; next }
            {
                version = $2
                sub(/^[0-9]+:/, "", version)
                file = $1 "-" version "." $3
                if (file ".rpm" in path) print $1, $2, $3, "", file ".rpm", path[file ".rpm"]
                else if ($4 ~ /^[0-9a-f]+$/) print $1, $2, $3, $4, file ".hdr", ""
            }
        ' files new > listed
        cut -f 6 listed | { grep . || true; } | digests > sums
        awk -F '\\t' -v OFS='\\t' '
            FILENAME == ARGV[1] { sum[substr($0, 67)] = substr($0, 1, 64); next }
            { print $1, $2, $3, ($6 == "" ? $4 : sum[$6]), $5 }
        ' sums listed > resolved
        [ -e locked ] || exit 0
        grep -Fxv -f locked resolved > strange || true
        awk -F '\\t' '{ sub(/^[0-9]+:/, "", $2); print $1 "-" $2 "." $3 }' locked > names
        { xargs -r rpm -q --qf '' -- < names || true; } | sed -n 's/^package \\(.*\\) is not installed$/\\1/p' > lacking
        while read -r line; do
            echo "this is not what the lock names: $line"
        done < strange
        while read -r name; do
            echo "$name of the lock cannot be had"
        done < lacking
        [ ! -s strange ] && [ ! -s lacking ]
        """
}
