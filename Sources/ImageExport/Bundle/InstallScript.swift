// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Layers
import Model

/// The text of `install.sh`: plain POSIX shell, and the tools that every Debian and Red Hat system has. What is to be done
/// stands in the files of `steps/`; this knows how.
struct InstallScript {
    /// Of a part, in order: its name, and the digest of all that leads to what it leaves.
    let parts: [(name: String, digest: String)]
    /// What it is a bundle of.
    let name: String
    let version: String
    /// The package managers that it can ask.
    let managers: [String]
    /// Whether the layers ask for any package, which is when a package manager must be there.
    let needsManager: Bool
    /// Scripts run without the network.
    let isolates: Bool

    var text: String {
        [head, Self.helpText, Self.words, Self.checks, Self.running, Self.course].joined(separator: "\n")
    }

    private var head: String {
        """
        #!/bin/sh
        # Brings a machine that runs to what the layers of a flashlayer project ask for: users, packages, files, environment,
        # scripts, in this order. It needs root, a POSIX shell, and what every Debian or Red Hat system has.
        #
        #     sh install.sh --dry-run     says what it would do
        #     sh install.sh               does it; a second time, it finds nothing to do
        #
        # What it does stands in steps/, a file for each part; what it lays down and runs lies beside them, as it is.
        set -eu

        name=\(name.shellQuoted)
        version=\(version.shellQuoted)
        # In this order. Each is remembered by the digest of all that it is made of, and of the parts before it.
        parts=\(parts.map(\.name).joined(separator: " ").shellQuoted)
        digest_of() {
            case $1 in
        \(parts.map { "        \($0.name)) echo \($0.digest) ;;" }.joined(separator: "\n"))
            esac
        }
        # The package managers that the steps know how to ask.
        managers=\(managers.joined(separator: " ").shellQuoted)
        needs_manager=\(needsManager ? "yes" : "no")
        isolates=\(isolates ? "yes" : "no")

        """
    }

    private static let helpText = #"""
        usage() {
            cat <<END
        Usage: sh install.sh [--dry-run] [--force] [--part NAME]... [--secret NAME=FILE]... [--log FILE] [--help]

        Brings this machine to what $name $version asks for. Parts that were done before, and are still the same, are
        left alone.

          --dry-run           say what would be done, and do nothing
          --force             do again what was done before
          --part NAME         do only this part; may be given several times
          --secret NAME=FILE  let scripts read this file as \$FLASHLAYER_SECRETS/NAME; nothing keeps it
          --log FILE          where all that is said goes as well; default: $log
          --help              say this

        Parts: $parts

        Exit status: 0 done, 64 wrong command line, 65 a package or a script failed, or this bundle is damaged, 69 this
        machine lacks what is needed, 73 a file cannot be written, such as on a full file system: what was there is there
        still, and the next run goes on, 75 another install.sh runs, 77 not root, 78 the recipe does not fit this machine,
        130, 141 and 143 interrupted.
        END
        }

        """#

    private static let words = #"""
        # What the programs of the steps know by fixed names. It leads to a folder of this run: /run is small on many
        # machines, and lets no program run on some.
        scratch=/run/flashlayer
        # What was done, by name; never more than a few lines.
        root=/var/lib/flashlayer-script
        state=$root/done/$name
        log=/var/log/flashlayer-script.log

        work=
        secrets=
        child=
        logging=no

        say() {
            printf '%s\n' "$1"
            log_line "$1"
        }
        # A log on a full file system is no reason to stop, and must not keep the reason from being told.
        log_line() {
            [ $logging = no ] || printf '%s\n' "$1" 2> /dev/null >&8 || :
        }
        fail() { # STATUS CODE SENTENCE [LINES]: the last thing that is said
            text="install.sh: $3 [$2]${4:+
        $4}"
            printf '%s\n' "$text" >&2
            log_line "$text"
            exit "$1"
        }
        has_room() { # for words, where this script has its own files
            (head -c 65536 /dev/zero > "${work:-$root}/room") 2> /dev/null || return 1
            rm -f -- "${work:-$root}/room"
        }
        unwritten() { # WHAT: cannot be written
            code=cannot-create
            has_room || code=no-space
            fail 73 $code "$1 cannot be written"
        }
        # Nothing of a run stays but what it did, however it ends.
        tidy() {
            status=$?
            trap - EXIT
            if [ -n "$work" ]; then
                [ ! -L $scratch ] || rm -f $scratch
                rm -rf -- "$work"
            fi
            [ -z "$secrets" ] || rm -rf -- "$secrets"
            exit $status
        }
        # The program that runs, all in its session, and what came of them, each with its own; see proc(5). What has left the
        # session and has lost its parent, as a daemon has, cannot be told from any other process.
        family() { # adds them to $all
            all="$all $child "
            grows=yes
            while [ $grows = yes ]; do
                grows=no
                for file in /proc/[0-9]*/stat; do
                    { read -r line < "$file"; } 2> /dev/null || continue
                    # A program's name stands in brackets and may hold anything.
                    # shellcheck disable=SC2086 # Words: state, parent, group, session.
                    set -- "${line%% *}" ${line##*) }
                    case $all in *" $1 "*) continue ;; esac
                    case $all in *" $3 "* | *" $5 "*) all="$all $1 " grows=yes ;; esac
                done
            done
        }
        runs() { # PID...: any of them
            for pid in "$@"; do
                { read -r line < "/proc/$pid/stat"; } 2> /dev/null || continue
                case ${line##*) } in Z* | X*) ;; *) return 0 ;; esac
            done
            return 1
        }
        # A program that runs is in a session of its own: all of it is ended, then this.
        # shellcheck disable=SC2086 # Numbers.
        stop() { # STATUS
            trap '' INT TERM HUP PIPE
            if [ -n "$child" ]; then
                all=
                family
                kill -TERM $all 2> /dev/null || :
                tenths=100
                while [ $tenths -gt 0 ] && runs $all; do
                    sleep 0.1
                    tenths=$((tenths - 1))
                    family
                done
                kill -KILL $all 2> /dev/null || :
            fi
            printf 'install.sh: interrupted\n' >&2
            exit "$1"
        }

        """#

    private static let checks = #"""
        # PATH may be that of a cron job.
        PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
        export PATH
        # This file may be called by a link to it.
        bundle=$(CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "$0")")" && pwd -P)

        dry=no
        force=no
        chosen=
        given=
        while [ $# -gt 0 ]; do
            case $1 in
                --dry-run) dry=yes ;;
                --force) force=yes ;;
                --help | -h)
                    usage
                    exit 0
                    ;;
                --part | --log | --secret)
                    [ -n "${2-}" ] || fail 64 usage "$1 needs a value: 'sh install.sh --help' says more"
                    case $1 in
                        --part) chosen="${chosen:+$chosen }$2" ;;
                        --log) log=$2 ;;
                        --secret)
                            key=${2%%=*}
                            file=${2#*=}
                            case $key in
                                '' | [.-]* | *[!A-Za-z0-9_.-]*) file= ;;
                            esac
                            if [ "$2" = "$key" ] || [ -z "$file" ]; then
                                fail 64 usage "--secret takes NAME=FILE, with a name of letters, digits, '_', '.' and '-'"
                            fi
                            # One a line, the file as the shell's own words.
                            given="$given
        $key=$file"
                            ;;
                    esac
                    shift
                    ;;
                *) fail 64 usage "'$1' is not understood: 'sh install.sh --help' says more" ;;
            esac
            shift
        done
        for part in $chosen; do
            case " $parts " in
                *" $part "*) ;;
                *) fail 64 usage "there is no part '$part': there are $parts" ;;
            esac
        done
        [ -n "$chosen" ] || chosen=$parts

        is_done() { # PART
            [ $force = no ] && [ "$(cat "$state/$1" 2> /dev/null)" = "$(digest_of "$1")" ]
        }
        due=
        for part in $parts; do
            case " $chosen " in
                *" $part "*) is_done "$part" || due="$due $part" ;;
            esac
        done

        # Which of them a machine has decides how it installs packages.
        manager=
        for candidate in apt dnf tdnf yum zypper; do
            program=$candidate
            [ $candidate != apt ] || program=apt-get
            if command -v $program > /dev/null; then
                manager=$candidate
                break
            fi
        done
        case " $managers " in
            *" $manager "*) ;;
            *)
                if [ "$managers" = apt ] || [ $needs_manager = yes ]; then
                    # shellcheck disable=SC1091 # It is the machine's own.
                    system=$(. /etc/os-release 2> /dev/null && printf %s "${PRETTY_NAME:-}") || system=
                    fail 69 unavailable "$name is for a system whose packages are installed by ${managers}, and this is \
        ${system:-none that is known}${manager:+, with $manager}"
                fi
                ;;
        esac
        tools='awk cat chmod chown cp cut dirname env find flock getent grep head id ln mkdir mktemp mv readlink rm rmdir
            sed setsid sha256sum sleep sort stat sync tail tar touch'
        [ $isolates = no ] || tools="$tools unshare"
        for tool in $tools; do
            command -v "$tool" > /dev/null || fail 69 unavailable "this machine has no $tool"
        done
        tar --help 2> /dev/null | grep -q -e --keep-directory-symlink ||
            fail 69 unavailable "the tar of this machine is not GNU's, and would replace links by folders"

        if [ $dry = yes ]; then
            for part in $parts; do
                case " $chosen " in
                    *" $part "*) ;;
                    *) continue ;;
                esac
                case " $due " in
                    *" $part "*)
                        say "$part: would do"
                        sed -n 's/^# - /  /p' "$bundle/steps/$part.sh"
                        ;;
                    *) say "$part: done before" ;;
                esac
            done
            say "nothing was changed: this was --dry-run"
            exit 0
        fi
        [ "$(id -u)" = 0 ] || fail 77 not-permitted "this changes the system, and needs root"
        if [ -z "$due" ]; then
            say "nothing to do: all of $name $version is done on this machine (--force does it again)"
            exit 0
        fi
        (cd "$bundle" && sha256sum --check --strict --status SHA256SUMS) ||
            fail 65 digest-mismatch "this bundle is damaged: $bundle is not what was exported; copy it again"

        """#

    private static let running = #"""
        # The words of the steps.

        folder() { # PATH
            mkdir -p -- "$1" || unwritten "the folder $1"
        }
        lay() { # FILE PATH MODE: a copy
            { cp -- "$bundle/$1" "$2" && chmod "$3" "$2"; } || unwritten "$2"
        }
        reach() { # FILE PATH: the file itself, which may be large
            ln -sfn -- "$bundle/$1" "$2" || unwritten "$2"
        }
        show() { # SOURCE: each line of standard input, and who says it
            while IFS= read -r line || [ -n "$line" ]; do
                log_line "$1: $line"
                printf '%s: %s\n' "$1" "$line"
            done
        }
        # A shell starts what it does not wait for with SIGINT and SIGQUIT ignored, and neither it nor a shell after it can
        # undo that. Older systems have an env that cannot either.
        reset_signals() { # PROGRAM [ARGUMENT]...
            if env --default-signal=INT,QUIT true 2> /dev/null; then exec env --default-signal=INT,QUIT "$@"; fi
            if command -v perl > /dev/null; then
                exec perl -e '$SIG{INT} = $SIG{QUIT} = "DEFAULT"; exec { $ARGV[0] } @ARGV' "$@"
            fi
            for python in /usr/libexec/platform-python python3 python; do
                command -v $python > /dev/null || continue
                # shellcheck disable=SC2093 # One that is there is the last.
                exec $python -c 'import os, signal, sys
        for name in ("SIGINT", "SIGQUIT", "SIGPIPE", "SIGXFSZ"): signal.signal(getattr(signal, name), signal.SIG_DFL)
        os.execvp(sys.argv[1], sys.argv[1:])' "$@"
            done
            exec "$@"
        }
        # The status of a program goes to $status. It has no standard input, and none of this script's variables.
        attempt() { # SOURCE NETWORK [KEY=VALUE]... PROGRAM [ARGUMENT]...
            source=$1
            network=$2
            shift 2
            if [ "$proxies" = yes ]; then
                for key in http_proxy https_proxy ftp_proxy no_proxy HTTP_PROXY HTTPS_PROXY FTP_PROXY NO_PROXY; do
                    eval "value=\${$key-}"
                    # shellcheck disable=SC2154 # eval sets it.
                    [ -z "$value" ] || set -- "$key=$value" "$@"
                done
            fi
            set -- env -i \
        STANDARD "$@"
            [ "$network" = yes ] || set -- unshare --net -- "$@"
            # Another file each time: what an earlier program left running may still print into its own.
            rm -f -- "$work/output"
            (: > "$work/output") 2> /dev/null || unwritten "$work/output"
            # A session of its own, so that the end of this one is not the end of half of it.
            (
                cd /
                umask 022
                reset_signals setsid "$@"
            ) > "$work/output" 2>&1 < /dev/null 8>&- 9>&- &
            child=$!
            # Followed through the file, not a pipe: what a script leaves running may keep it open for ever.
            # Neither may hold the lock: they can outlive an interruption for a moment, and the next run would be refused.
            tail -n +1 -s 0.1 -f --pid="$child" "$work/output" 2> /dev/null 9>&- | show "$source" 9>&- &
            follower=$!
            status=0
            wait "$child" || status=$?
            child=
            wait "$follower" || :
        }
        complain() { # CODE STATUS TITLE
            code=$1 meaning=$2
            # What cannot be written is no fault of a recipe or a package. A layer's script means its status itself.
            if [ "$code" != script-failed ]; then
                if [ "$status" = CANNOT_CREATE ]; then code=cannot-create meaning=73; fi
                if ! has_room || grep -q -e 'No space left on device' -e 'Disk quota exceeded' "$work/output"; then
                    code=no-space meaning=73
                fi
            fi
            how="ended with status $status"
            [ "$status" -le 128 ] || how="was ended by signal $((status - 128))"
            lines=$(tail -n 10 "$work/output" | sed 's/^/  /')
            if [ -n "$lines" ]; then how="$how; the last of what it printed:"; else how="$how, and printed nothing"; fi
            fail "$meaning" "$code" "$3 $how" "$lines"
        }
        run() { # SOURCE CODE STATUS NETWORK TITLE [KEY=VALUE]... PROGRAM [ARGUMENT]...
            source=$1 code=$2 meaning=$3 network=$4 title=$5
            shift 5
            attempt "$source" "$network" "$@"
            [ "$status" = 0 ] || complain "$code" "$meaning" "$title"
        }
        relabel() { # as run; the statuses are those of the program that gives SELinux labels
            source=$1 code=$2 meaning=$3 network=$4 title=$5
            shift 5
            attempt "$source" "$network" "$@"
            case $status in
                0) ;;
                NO_PROGRAM | FAILED)
                    : > AUTORELABEL
                    say "selinux: files get their labels at the next start, which then takes longer"
                    ;;
                *) complain "$code" "$meaning" "$title" ;;
            esac
        }

        """#
        .replacing("STANDARD", with: standard)
        .replacing("CANNOT_CREATE", with: "\(ShellText.cannotCreate)")
        .replacing("NO_PROGRAM", with: "\(RelabelSteps.Outcome.noProgram.rawValue)")
        .replacing("FAILED", with: "\(RelabelSteps.Outcome.failed.rawValue)")
        .replacing("AUTORELABEL", with: RelabelSteps.atFirstBoot)

    private static var standard: String {
        GuestCommand.standardEnvironment.sorted { $0.key < $1.key }
            .map { "        \($0.key)=\($0.value.shellWord) \\\n" }.joined() + "       "
    }

    private static let course = #"""
        umask 077
        trap tidy EXIT
        trap 'stop 130' INT
        trap 'stop 143' TERM HUP
        # What leaves through a pipe may find nobody there any more, such as a connection that was lost.
        trap 'stop 141' PIPE
        # In shells of their own: where a file cannot be opened, this one would end without a word.
        {
            mkdir -p -- "$state" && chmod 755 "$root" "$root/done" "$state" && (: >> "$root/lock")
        } || unwritten "$state"
        exec 9> "$root/lock"
        flock -n 9 || fail 75 busy "another install.sh runs on this machine"
        (: >> "$log") 2> /dev/null || unwritten "the log $log"
        exec 8>> "$log"
        logging=yes
        log_line "-- $(date -u +%Y-%m-%dT%H:%M:%SZ): $name $version:$due"

        # Whoever was killed could not tidy up.
        rm -rf -- "$root"/work.* /run/flashlayer-secrets.*
        [ ! -L $scratch ] || rm -f $scratch
        # mktemp puts letters in the place of the Xs, here and below: nobody else can have the folder.
        work=$(mktemp -d "$root/work.XXXXXX") || unwritten "$root"
        ln -s -- "$work" $scratch 2> /dev/null || fail 75 busy "$scratch is there already: another program uses it"
        folder "$work/downloads"
        # Memory, where this machine has it.
        secrets=$(mktemp -d /run/flashlayer-secrets.XXXXXX)
        ln -s -- "$secrets" "$work/secrets"
        (printf '%s\n' "$given" > "$secrets/.list") || unwritten "$secrets"
        while IFS= read -r line; do
            [ -n "$line" ] || continue
            { cp -- "${line#*=}" "$secrets/${line%%=*}" && chmod 400 "$secrets/${line%%=*}"; } 2> /dev/null ||
                fail 66 not-found "the secret ${line#*=} cannot be read"
        done < "$secrets/.list"
        rm -f "$secrets/.list"

        # What is newer than this file was changed by this run, or by one before it that did not come to its end.
        { { [ -e "$state/begin" ] || (: > "$state/begin"); } && cp -p -- "$state/begin" "$work/begin"; } ||
            unwritten "$state/begin"

        for part in $parts; do
            case " $chosen " in
                *" $part "*) ;;
                *) continue ;;
            esac
            case " $due " in
                *" $part "*) ;;
                *)
                    say "$part: done before"
                    continue
                    ;;
            esac
            say "$part"
            # What it left of an earlier time no longer holds.
            rm -f -- "$state/$part"
            # shellcheck source=/dev/null
            . "$bundle/steps/$part.sh"
            {
                (digest_of "$part" > "$state/$part.new") && chmod 644 "$state/$part.new" &&
                    mv -f -- "$state/$part.new" "$state/$part"
            } || unwritten "$state/$part"
            [ "$part" != finish ] || rm -f -- "$state/begin"
        done
        say "done: $name $version ($chosen)"

        """#
}
