// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials

/// A line of an authorized_keys file; see "AUTHORIZED_KEYS FILE FORMAT" in sshd(8).
enum AuthorizedKey {
    /// Kinds that OpenSSH accepts.
    private static let kinds = [
        "ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
    ]

    /// What is wrong with a line, as the rest of a sentence that begins with its name; nil when nothing is.
    static func fault(of line: String) -> String? {
        if line.contains("PRIVATE KEY") {
            return "is a private key, which must not leave its owner: the public one is meant, from the file *.pub"
        }
        guard !line.unicodeScalars.contains(where: { $0.value < 32 || $0.value == 127 }) else {
            return "must be one line, as in the file *.pub"
        }
        let words = words(of: line)
        if words.contains("ssh-dss") { return "is of the kind ssh-dss, which OpenSSH no longer accepts" }
        // Options may stand in front.
        guard let index = words.firstIndex(where: { kinds.contains($0) }), index <= 1 else {
            let isPath = line.hasSuffix(".pub") || line.hasPrefix("/") || line.hasPrefix("~")
            return isPath && words.count == 1
                ? "must be the key itself: what the file holds, not its name"
                : "is no public key: it must look like \"ssh-ed25519 AAAA... name\""
        }
        guard index + 1 < words.count, isKey(words[index + 1], of: words[index]) else {
            return "is damaged: what follows \(words[index]) is no whole key of that kind"
        }
        return nil
    }

    /// Between blanks; those in double quotes do not separate.
    private static func words(of line: String) -> [String] {
        var words: [String] = []
        var word = ""
        var isQuoted = false
        for character in line {
            if character == "\"" { isQuoted.toggle() }
            if character == " ", !isQuoted {
                if !word.isEmpty { words.append(word) }
                word = ""
            } else {
                word.append(character)
            }
        }
        return word.isEmpty ? words : words + [word]
    }

    /// The base64 stands for strings with their lengths in front, the first of which is the kind; see RFC 4253, section
    /// 6.6. A key that was cut off or broken over lines does not come out even.
    private static func isKey(_ text: String, of kind: String) -> Bool {
        guard let data = Data(base64Encoded: text) else { return false }
        var bytes = Array(data)[...]
        var fields: [[UInt8]] = []
        while !bytes.isEmpty {
            guard bytes.count >= 4 else { return false }
            let length = bytes.prefix(4).reduce(0) { $0 << 8 | Int($1) }
            bytes = bytes.dropFirst(4)
            guard length > 0, length <= bytes.count else { return false }
            fields.append(Array(bytes.prefix(length)))
            bytes = bytes.dropFirst(length)
        }
        return fields.count >= 2 && fields.first == Array(kind.utf8)
    }
}
