// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// Text of devices, for a person: a device may call itself anything.
package enum Printable {
    /// What could move the cursor, change colours or turn the line around is shown as a question mark. JSON has the
    /// text as it is.
    package static func line(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { scalar in
                    switch scalar.properties.generalCategory {
                    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned:
                        "?"
                    default: scalar
                    }
                }
            )
        )
    }
}
