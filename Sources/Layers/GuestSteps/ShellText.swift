// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

extension String {
    /// One word for a POSIX shell, whatever is in it.
    package var shellQuoted: String {
        "'" + split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }
}

/// Functions that texts for a guest's shell have in common.
package enum ShellText {
    /// What such a text ends with when a file cannot be written: EX_CANTCREAT of sysexits.h.
    package static let cannotCreate: Int32 = 73

    /// Names of what is not in place yet: mktemp(1) puts letters in the place of the Xs, so that nobody else can have one.
    static let temporaryName = ".flashlayer.XXXXXXXXXX"

    /// Whether a path leads to a mount point: no other file can take its name.
    static let isMounted = """
        is_mounted() { mountpoint -q -- "$1"; } # FILE
        """

    /// A new file is made beside the old one and takes its name, owner, mode and attributes: whatever happens, the old file
    /// is there or the new one, never half of one. Of a link, what it leads to is replaced.
    static let put = """
        \(isMounted)
        put() { # FILE: standard input becomes its content
            target=$(readlink -f -- "$1") || unwritten "$1"
            fresh=
            trap '[ -z "$fresh" ] || rm -f -- "$fresh"' EXIT
            trap 'exit 143' TERM HUP
            trap 'exit 130' INT
            fresh=$(mktemp -- "${target%/*}/\(temporaryName)") || unwritten "$1"
            if [ -e "$target" ]; then
                cp --attributes-only --preserve=all -- "$target" "$fresh" || unwritten "$1"
            else
                chmod "$(printf %o $((0666 & ~$(umask))))" "$fresh"
            fi
            # Its blocks before its name: else a power cut may leave the name of an empty file.
            said=$({ cat > "$fresh" && sync -- "$fresh"; } 2>&1) || unwritten "$1" "$said"
            # A file that is mounted, as /etc/hosts is in a container, can only be written where it is.
            mv -f -T -- "$fresh" "$target" 2> /dev/null || { is_mounted "$target" && cat -- "$fresh" > "$target"; } ||
                unwritten "$1"
            rm -f -- "$fresh"
            fresh=
        }
        unwritten() { # FILE [REASON]
            # First of all there has to be room for words.
            [ -z "$fresh" ] || rm -f -- "$fresh"
            echo "$1 cannot be written${2:+: $2}"
            exit \(cannotCreate)
        }
        """
}

extension Pathname {
    /// For a shell's `printf %b`: plain letters, and all else as octal numbers.
    var printfText: String {
        bytes.reduce(into: "") { text, byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "-")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                text.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 8)
                text += "\\0" + String(repeating: "0", count: 3 - digits.utf8.count) + digits
            }
        }
    }
}
