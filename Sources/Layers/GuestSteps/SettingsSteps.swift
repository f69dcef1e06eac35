// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// What the recipe says about the system: environment, host name, time zone, locale.
package enum SettingsSteps {
    package static func apply(_ image: ImageSettings, environment: [Layer.Variable]) -> [GuestStep] {
        var steps: [GuestStep] = []
        var parts: [String] = []
        if !environment.isEmpty {
            let lines = environment.map { "\($0.key)=\($0.value)\n" }.joined()
            steps.append(.write(environmentFile, contents: lines, mode: 0o600))
            parts.append(mergeEnvironment)
        }
        if let hostname = image.hostname { parts.append(self.hostname(hostname)) }
        if let timezone = image.timezone { parts.append(self.timezone(timezone)) }
        if let locale = image.locale { parts.append(self.locale(locale)) }
        guard !parts.isEmpty else { return [] }
        // One program: where machines are emulated, starting one takes a second.
        let shell = ([ShellText.put] + parts).joined(separator: "\n")
        let title = "applying environment, host name, time zone and locale"
        return steps + [.run(GuestCommand(shell: shell, source: "configs", failure: .badRecipe, title: title))]
    }

    private static let environmentFile = "\(GuestFolder.scratch)/environment"

    /// Debian packages that a setting needs.
    package static func debianPackages(for image: ImageSettings) -> [String] {
        image.locale.map { isBuiltIn($0) ? [] : ["locales"] } ?? []
    }

    /// Merges by key: a line that sets one of ours is replaced where it stands, others are left alone, and doing it
    /// twice changes nothing more. Values are never seen by a shell.
    private static let mergeEnvironment = """
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
        ' \(environmentFile) /etc/environment > \(environmentFile).merged
        put /etc/environment < \(environmentFile).merged
        """

    private static func hostname(_ name: String) -> String {
        let short = name.split(separator: ".").first.map(String.init) ?? name
        let names = short == name ? name : "\(name) \(short)"
        return """
            printf '%s\\n' \(name.shellQuoted) | put /etc/hostname
            {
                if [ -e /etc/hosts ]; then
                    # A status above 1 is no answer.
                    grep -v '^127\\.0\\.1\\.1[[:space:]]' /etc/hosts || [ $? = 1 ]
                else
                    printf '127.0.0.1 localhost\\n::1 localhost ip6-localhost ip6-loopback\\n'
                fi
                printf '127.0.1.1 %s\\n' \(names.shellQuoted)
            } > \(GuestFolder.scratch)/hosts
            put /etc/hosts < \(GuestFolder.scratch)/hosts
            """
    }

    private static func timezone(_ zone: String) -> String {
        """
        zone=\(zone.shellQuoted)
        if [ ! -e "/usr/share/zoneinfo/$zone" ]; then
            echo "the guest knows no time zone '$zone' (is tzdata installed?)"
            exit 1
        fi
        ln -sfn "/usr/share/zoneinfo/$zone" /etc/localtime
        if [ -e /etc/debian_version ]; then printf '%s\\n' "$zone" | put /etc/timezone; fi
        """
    }

    /// glibc has these without any locale data.
    private static func isBuiltIn(_ locale: String) -> Bool {
        ["C", "POSIX", "C.UTF-8", "C.utf8"].contains(locale)
    }

    private static func locale(_ locale: String) -> String {
        let makes = isBuiltIn(locale) ? "false" : "true"
        return """
            locale=\(locale.shellQuoted)
            if \(makes) && command -v locale-gen > /dev/null; then
                if ! grep -qsE "^$locale( |\\$)" /etc/locale.gen; then
                    {
                        if [ -e /etc/locale.gen ]; then cat /etc/locale.gen; fi
                        printf '%s %s\\n' "$locale" "${locale#*.}"
                    } > \(GuestFolder.scratch)/locale.gen
                    put /etc/locale.gen < \(GuestFolder.scratch)/locale.gen
                fi
                locale-gen
            fi
            file=/etc/locale.conf
            if [ -e /etc/debian_version ]; then file=/etc/default/locale; fi
            {
                if [ -e $file ]; then grep -v '^LANG=' $file || [ $? = 1 ]; fi
                printf 'LANG=%s\\n' "$locale"
            } > \(GuestFolder.scratch)/locale
            put $file < \(GuestFolder.scratch)/locale
            """
    }
}
