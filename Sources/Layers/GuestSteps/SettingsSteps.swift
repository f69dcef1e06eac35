// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// What the recipe says about the system: environment, host name, time zone, locale.
package enum SettingsSteps {
    package static func apply(_ image: ImageSettings, environment: [Layer.Variable]) -> [GuestStep] {
        var steps = self.environment(environment)
        if let hostname = image.hostname { steps += self.hostname(hostname) }
        if let timezone = image.timezone { steps.append(self.timezone(timezone)) }
        if let locale = image.locale { steps.append(self.locale(locale)) }
        return steps
    }

    /// Debian packages that a setting needs.
    package static func debianPackages(for image: ImageSettings) -> [String] {
        image.locale.map { isBuiltIn($0) ? [] : ["locales"] } ?? []
    }

    /// Merges by key: a line that sets one of ours is replaced where it stands, others are left alone, and doing it
    /// twice changes nothing more. Values are never seen by a shell.
    private static func environment(_ variables: [Layer.Variable]) -> [GuestStep] {
        guard !variables.isEmpty else { return [] }
        let ours = "\(GuestFolder.scratch)/environment"
        let shell = """
            [ -e /etc/environment ] || : > /etc/environment
            awk '
                NR == FNR { key = $0; sub(/=.*/, "", key); keys[++count] = key; line[key] = $0; next }
                {
                    key = $0
                    sub(/^[ \\t]*(export[ \\t]+)?/, "", key)
                    if (index(key, "=")) {
                        sub(/[ \\t]*=.*/, "", key)
                        if (key in line) {
                            if (!(key in done)) print line[key]
                            done[key] = 1
                            next
                        }
                    }
                    print
                }
                END { for (i = 1; i <= count; i++) if (!(keys[i] in done)) print line[keys[i]] }
            ' \(ours) /etc/environment > \(ours).merged
            cat \(ours).merged > /etc/environment
            """
        return [
            .write(ours, contents: variables.map { "\($0.key)=\($0.value)\n" }.joined(), mode: 0o600),
            .run(GuestCommand(shell: shell, source: "configs", title: "merging the environment")),
        ]
    }

    private static func hostname(_ name: String) -> [GuestStep] {
        let short = name.split(separator: ".").first.map(String.init) ?? name
        let names = short == name ? name : "\(name) \(short)"
        let shell = """
            [ -e /etc/hosts ] || printf '127.0.0.1 localhost\\n::1 localhost ip6-localhost ip6-loopback\\n' > /etc/hosts
            grep -v '^127\\.0\\.1\\.1[[:space:]]' /etc/hosts > \(GuestFolder.scratch)/hosts || true
            printf '127.0.1.1 %s\\n' \(names.shellQuoted) >> \(GuestFolder.scratch)/hosts
            cat \(GuestFolder.scratch)/hosts > /etc/hosts
            """
        return [
            .write("/etc/hostname", contents: name + "\n", mode: 0o644),
            .run(GuestCommand(shell: shell, source: "configs", title: "setting the host name")),
        ]
    }

    private static func timezone(_ zone: String) -> GuestStep {
        let shell = """
            zone=\(zone.shellQuoted)
            if [ ! -e "/usr/share/zoneinfo/$zone" ]; then
                echo "the guest knows no time zone '$zone' (is tzdata installed?)"
                exit 1
            fi
            ln -sfn "/usr/share/zoneinfo/$zone" /etc/localtime
            if [ -e /etc/debian_version ]; then printf '%s\\n' "$zone" > /etc/timezone; fi
            """
        return .run(
            GuestCommand(shell: shell, source: "configs", failure: .badRecipe, title: "setting the time zone")
        )
    }

    /// glibc has these without any locale data.
    private static func isBuiltIn(_ locale: String) -> Bool {
        ["C", "POSIX", "C.UTF-8", "C.utf8"].contains(locale)
    }

    private static func locale(_ locale: String) -> GuestStep {
        let makes = isBuiltIn(locale) ? "false" : "true"
        let shell = """
            locale=\(locale.shellQuoted)
            if \(makes) && command -v locale-gen > /dev/null; then
                grep -qsE "^$locale( |\\$)" /etc/locale.gen || printf '%s %s\\n' "$locale" "${locale#*.}" >> /etc/locale.gen
                locale-gen
            fi
            file=/etc/locale.conf
            if [ -e /etc/debian_version ]; then file=/etc/default/locale; fi
            { grep -vs '^LANG=' $file || true; printf 'LANG=%s\\n' "$locale"; } > \(GuestFolder.scratch)/locale
            cat \(GuestFolder.scratch)/locale > $file
            """
        return .run(GuestCommand(shell: shell, source: "configs", failure: .badRecipe, title: "setting the locale"))
    }
}
