// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Layers

extension ManualPage {
    /// flashlayer.toml(5), made of the keys that a recipe may have.
    static var recipe: ManualPage {
        let text = """
            A recipe says what an image is made of: a base, layers in their order, and settings. It is TOML, see \
            https://toml.io. Unknown keys, wrong types and impossible values are errors that say in which line they stand; \
            see flashlayer-lint(1). Recipes that were written for osconfiglib are read as they are.
            """
        var body = [".SH DESCRIPTION", line(text)]
        for table in RecipeSchema.tables {
            body += table.header.isEmpty ? [".SH KEYS"] : [".SS \(line(table.header))"]
            body.append(line(table.meaning))
            for key in table.keys {
                let standard = key.standard.map { $0 == "required" ? " Required." : " Without it: \($0)." } ?? ""
                body += [".TP", ".B \(plain(key.name))", line(key.meaning + standard)]
            }
        }
        body +=
            [".SH EXAMPLE", ".nf"]
            + example.split(separator: "\n", omittingEmptySubsequences: false).map {
                line(String($0))
            }
        body += [".fi", ".SH SEE ALSO"]
        body += [
            ".BR flashlayer (1) ,", ".BR flashlayer\\-new (1) ,", ".BR flashlayer\\-lint (1) ,",
            ".BR flashlayer\\-plan (1)",
        ]
        return ManualPage(
            name: "flashlayer.toml",
            section: 5,
            abstract: "the recipe of an image",
            body: body
        )
    }

    /// A recipe that is read as it stands.
    static let example = """
        name = "kiosk"
        version = "1.0.0"
        outputs = ["vdi", "vmdk:streamOptimized"]

        [base]
        bootstrap = { distribution = "debian", suite = "bookworm" }

        [image]
        size = "3G"
        hostname = "kiosk"
        kernel-arguments = ["console=ttyS0"]

        [[layer]]
        type = "local"
        path = "layers/kiosk"

        [[layer]]
        type = "git"
        url = "https://git.example/os-base.git"
        branch_or_tag = "main"

        [[user]]
        name = "operator"
        groups = ["sudo"]
        """
}
