// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// The keys of a JSON object as they are written.
enum JSONKeys {
    /// - Parameter text: a valid object without objects in it.
    /// - Returns: the first key that is there twice; escapes count as they are written.
    static func repeated(in text: String) -> String? {
        var seen: Set<String> = []
        var word: String?
        var isEscaped = false
        var last = ""
        for character in text {
            if let begun = word {
                if character == "\"", !isEscaped {
                    last = begun
                    word = nil
                } else {
                    word = begun + String(character)
                }
                isEscaped = character == "\\" && !isEscaped
            } else if character == "\"" {
                word = ""
            } else if character == ":", !seen.insert(last).inserted {
                return last
            }
        }
        return nil
    }
}
