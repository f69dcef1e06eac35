// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import ImageBuilder
import Layers
import Model
import Resolution

/// `flashlayer update`
struct Update: Operation {
    static let configuration = CommandConfiguration(
        commandName: "update",
        abstract: "Renew flashlayer.lock, and say what moved.",
        usage: "flashlayer update [<project>] [--variant <name>] [--json]",
        discussion: """
            Resolves anew what a build obeys: the commits of git layers, the digest of the base, the versions of packages. \
            Nothing is built, except a bootstrapped base whose packages have moved. Red Hat and Python packages are \
            resolved inside the guest: their versions are dropped here, and the next build locks what it installs.

              flashlayer update
              flashlayer update examples/kiosk --json
            """
    )

    @Argument(
        help: ArgumentHelp("A folder with a flashlayer.toml, or such a file. Default: the current folder."),
        completion: .file()
    )
    var project: String?

    @Option(help: ArgumentHelp("Renew what this variant of the recipe has locked.", valueName: "name"))
    var variant: String?

    @Option(
        help: ArgumentHelp(
            "Look here, too, for layers that others depend on. May be given several times.",
            valueName: "folder"
        )
    )
    var layerPath: [String] = []

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var common: CommonOptions

    func perform(_ console: Console) async throws {
        let request = ProjectRequest(.recipe(path: project ?? "."), layerPath: layerPath, variant: variant)
        let update = LockUpdate(request, cache: try Cache())
        let changes = try await BuildReporter.showing(on: console) { try await update.run(observer: $0) }
        console.clearStatus()
        if json {
            Console.answer(try JSONText.of(changes))
        } else {
            for change in changes {
                Console.answer("\(change.what): \(change.before ?? "none") -> \(change.after ?? "none")".printable)
            }
            if changes.isEmpty { console.say("nothing moved") }
        }
    }
}
