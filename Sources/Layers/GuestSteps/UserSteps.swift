// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// Puts the recipe's users into the guest, by the guest's own tools. Where a user is there already, only what the recipe
/// says is changed, and doing it twice changes nothing more.
package enum UserSteps {
    /// Before any package is installed, so that what packages bring can belong to them.
    package static func create(_ users: [User]) -> [GuestStep] {
        guard !users.isEmpty else { return [] }
        var steps: [GuestStep] = []
        var lines = [ShellText.put, functions]
        for user in users {
            let values: [String?] = [
                user.name, user.uid.map { "\($0)" }, user.group, user.gid.map { "\($0)" }, user.home, user.shell,
                user.comment,
            ]
            lines.append("account \(values.map { ($0 ?? "").shellQuoted }.joined(separator: " "))")
            guard !user.authorizedKeys.isEmpty else { continue }
            let file = "\(GuestFolder.scratch)/keys-of-\(user.name)"
            let text = user.authorizedKeys.map { $0 + "\n" }.joined()
            steps.append(.write(file, contents: text, mode: 0o600))
            lines.append("keys \(user.name.shellQuoted) \(file.shellQuoted)")
        }
        // In a file, which is memory and is gone at once: what stands in a command line, every process can read.
        let passwords = users.compactMap { user in user.password.map { "\(user.name):\($0.text)\n" } }.joined()
        if !passwords.isEmpty {
            steps.append(.write(passwordFile, contents: passwords, mode: 0o600))
            lines.append("chpasswd -e < \(passwordFile)")
            lines.append("rm -f \(passwordFile)")
        }
        let shell = lines.joined(separator: "\n")
        return steps + [
            .run(GuestCommand(shell: shell, source: "users", failure: .badRecipe, title: "setting up the users"))
        ]
    }

    /// Once the packages are there, which bring groups of their own.
    package static func join(_ users: [User]) -> [GuestStep] {
        let members = users.filter { !$0.groups.isEmpty }
        guard !members.isEmpty else { return [] }
        let lines = members.map { user in
            "join \(([user.name] + user.groups).map(\.shellQuoted).joined(separator: " "))"
        }
        return [
            .run(
                GuestCommand(
                    shell: ([joinFunction] + lines).joined(separator: "\n"),
                    source: "users",
                    failure: .badRecipe,
                    title: "putting the users into their groups"
                )
            )
        ]
    }

    private static let passwordFile = "\(GuestFolder.scratch)/passwords"

    private static let functions = """
        refuse() {
            echo "$1"
            exit 1
        }
        command -v useradd > /dev/null && command -v chpasswd > /dev/null ||
            refuse 'this guest has no useradd and chpasswd (Debian: passwd; Red Hat: shadow-utils)'
        field() { getent passwd "$1" | cut -d : -f "$2"; }
        group() { # NAME GID
            found=$(getent group "$1" | cut -d : -f 3)
            if [ -z "$found" ]; then
                groupadd ${2:+-g "$2"} -- "$1"
            elif [ -n "$2" ] && [ "$found" != "$2" ]; then
                refuse "the guest has a group $1 already, and its number is $found, not $2"
            fi
        }
        account() { # NAME UID GROUP GID HOME SHELL COMMENT: what is empty is left as it is
            name=$1 uid=$2 group=$3 gid=$4 home=$5 shell=$6 comment=$7
            if [ -n "$group$gid" ]; then
                group=${group:-$name}
                group "$group" "$gid"
            fi
            set --
            [ -z "$comment" ] || set -- "$@" -c "$comment"
            if [ -n "$(field "$name" 1)" ]; then
                [ -z "$uid" ] || [ "$uid" = "$(field "$name" 3)" ] || set -- "$@" -u "$uid"
                [ -z "$home" ] || [ "$home" = "$(field "$name" 6)" ] || set -- "$@" -m -d "$home"
                [ -z "$group" ] || set -- "$@" -g "$group"
                [ -z "$shell" ] || set -- "$@" -s "$shell"
                [ $# = 0 ] || usermod "$@" -- "$name"
            else
                # The group of a user's own name may be there without the user.
                if [ -z "$group" ] && getent group "$name" > /dev/null; then group=$name; fi
                if [ -n "$group" ]; then set -- "$@" -g "$group"; else set -- "$@" -U; fi
                [ -z "$uid" ] || set -- "$@" -u "$uid"
                [ -z "$home" ] || set -- "$@" -d "$home"
                if [ -z "$shell" ] && [ -x /bin/bash ]; then shell=/bin/bash; fi
                [ -z "$shell" ] || set -- "$@" -s "$shell"
                parent=${home%/*}
                [ -z "$parent" ] || mkdir -p -- "$parent"
                useradd -m "$@" -- "$name"
            fi
        }
        keys() { # NAME FILE
            home=$(field "$1" 6)
            [ -d "$home" ] || refuse "the user $1 has no home folder in this guest that could hold keys"
            mkdir -p -- "$home/.ssh"
            file=$home/.ssh/authorized_keys
            [ -e "$file" ] || : > "$file"
            awk 'NF && !seen[$0]++' "$file" "$2" > "$2.merged"
            put "$file" < "$2.merged"
            chown "$1:$(field "$1" 4)" "$home/.ssh" "$file"
            chmod 700 "$home/.ssh"
            chmod 600 "$file"
        }
        """

    private static let joinFunction = """
        join() { # NAME GROUP...
            name=$1
            shift
            for group in "$@"; do
                if ! getent group "$group" > /dev/null; then
                    echo "user $name: the guest has no group $group, and no package brought it"
                    exit 1
                fi
                usermod -a -G "$group" -- "$name"
            done
        }
        """
}
