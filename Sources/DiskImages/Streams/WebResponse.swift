// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// The head of an HTTP response, as `curl --include` writes it before the content; see RFC 9110.
struct WebResponse: Equatable {
    let status: Int
    private let fields: [String: String]

    /// - Parameter head: from the status line to before the empty line.
    init?(_ head: String) {
        // "\r\n" is one Character.
        let lines = head.split { $0.isNewline }
        let words = lines.first?.split(separator: " ") ?? []
        guard words.count > 1, words[0].hasPrefix("HTTP/"), let status = Int(words[1]) else { return nil }
        self.status = status
        var fields: [String: String] = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
            fields[line[..<colon].lowercased()] = String(value)
        }
        self.fields = fields
    }

    /// Another response follows: this one only points elsewhere.
    var isOnTheWay: Bool { (100..<200).contains(status) || (300..<400).contains(status) && fields["location"] != nil }

    var contentLength: UInt64? { fields["content-length"].flatMap { UInt64($0) } }

    /// Of a partial answer: where it begins, and how long the whole is where the server knows.
    var contentRange: (start: UInt64, whole: UInt64?)? {
        let words = fields["content-range"]?.split { " -/".contains($0) } ?? []
        guard words.count == 4, words[0].lowercased() == "bytes", let start = UInt64(words[1]) else { return nil }
        return (start, UInt64(words[3]))
    }

    /// What `If-Range` takes: a strong entity tag, else the time of the last change; nil when there is neither.
    var validator: String? {
        if let tag = fields["etag"], tag.hasPrefix("\"") { return tag }
        return fields["last-modified"]
    }
}
