// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Layers
import TestSupport

/// A small project of values that a careless text would break on.
enum ExportProject {
    static let value = #"a "b" 'c' $HOME `id` ${x} %{y} {{ .Z }} \n \\ end"#

    static func write(to folder: TemporaryFolder, base: String = "") throws {
        try folder.write(
            """
            name = "odd's $(name)"
            version = "1.0-{{ .V }}"
            \(base)
            [image]
            hostname = "odd"
            kernel-arguments = ["quiet", "x=${y}"]
            [[user]]
            name = "guest"
            comment = "The guest's %{own}"
            groups = ["adm"]
            password = "!"
            [[layer]]
            type = "local"
            path = "layers/first"
            [[layer]]
            type = "local"
            path = "layers/second's"
            """,
            to: "flashlayer.toml"
        )
        try folder.write("jq\n-nano\n", to: "layers/first/packages/debs.txt")
        try folder.write("jq\n", to: "layers/first/packages/rpms.txt")
        try folder.write("six==1.16.0\n", to: "layers/first/packages/python.txt")
        try folder.write("ODD=\(value)\nPLAIN=1\n", to: "layers/first/environment")
        try folder.write(
            "deb [trusted=yes] file:/srv/repo ./\n",
            to: "layers/first/configs/etc/apt/sources.list.d/own.list"
        )
        try folder.write("odd\n", to: "layers/first/configs/etc/odd/a 'b' \"c\" $d\n{{e}}")
        try folder.write("hello\n", to: "layers/first/configs/bin/hello", mode: 0o755)
        try folder.write(
            "#!/bin/sh\nenv > /etc/odd/environment\n",
            to: "layers/first/scripts/10 odd's $name.sh",
            mode: 0o755
        )
        try folder.write("#!/bin/sh\ntrue\n", to: "layers/second's/scripts/10-a.sh", mode: 0o755)
    }

    static func plan(in folder: TemporaryFolder, arguments: [Layer.Variable] = []) throws -> Plan {
        try write(to: folder)
        return try Plan(.recipe(path: folder.path), arguments: arguments)
    }
}
