// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// Installs and removes Red Hat packages with the guest's own package manager. What it downloads lies on a drive that is
/// kept from build to build; what it chose is written down, and can be asked for again to the letter.
package enum RpmSteps {
    /// A package of a list, and who asks for it: `curl`, `curl-7.76*`, `-nano`.
    package struct Request: Sendable, Equatable {
        package let name: String
        /// For a person: `asked for by kiosk`.
        package let origin: String

        package init(_ name: String, origin: String) {
            self.name = name
            self.origin = origin
        }
    }

    package static let managers = ["dnf", "yum", "tdnf", "zypper"]

    /// What pip needs and a guest may lack. venv is a part of Python's own package.
    package static func packages(for python: ImageSettings.Python) -> [String] {
        python == .venv ? ["python3"] : ["python3-pip"]
    }

    private static let folder = "\(GuestFolder.scratch)/rpm"

    /// What the transaction brought, a line each: name, version, architecture, SHA-256 and file, with tabs between. The
    /// digest is that of the file; of a package that was never downloaded as one, it is that of its header.
    package static let resolved = "\(folder)/resolved"

    /// - Parameters:
    ///   - requests: in layer order: where two contradict each other, the later one holds.
    ///   - needed: installed unless something that is there answers to the name.
    ///   - manager: one of `managers`.
    ///   - recommends: nil leaves it to the guest's own configuration.
    ///   - locked: lines as in `resolved`: exactly these versions and files, or a failure. nil: what the guest's package
    ///     sources have today.
    ///   - isOffline: nothing but what the drive of downloads holds.
    package static func install(
        _ requests: [Request],
        needed: [String] = [],
        manager: String,
        recommends: Bool?,
        locked: [String]? = nil,
        isOffline: Bool = false
    ) -> [GuestStep] {
        guard !requests.isEmpty || !needed.isEmpty else { return [] }
        let decided = decide(requests)
        func list(_ requests: [Request]) -> String {
            requests.map { "\($0.name)\t\($0.origin)\n" }.joined()
        }
        let script = "\(folder)/install.sh"
        var steps: [GuestStep] = [
            .makeFolder(folder),
            .write("\(folder)/wanted", contents: list(decided.wanted), mode: 0o600),
            .write("\(folder)/unwanted", contents: list(decided.unwanted), mode: 0o600),
            .write("\(folder)/needed", contents: needed.map { "\($0)\tneeded by pip\n" }.joined(), mode: 0o600),
            .write(script, contents: RpmTransaction.script, mode: 0o600),
        ]
        if let locked {
            steps.append(.write("\(folder)/locked", contents: locked.map { "\($0)\n" }.joined(), mode: 0o600))
        }
        var environment = GuestCommand.standardEnvironment
        // The scripts of packages ask systemd for much; this is no running system.
        environment["SYSTEMD_OFFLINE"] = "1"
        environment["LC_ALL"] = "C.UTF-8"
        let weak = recommends.map { $0 ? "yes" : "no" } ?? "default"
        var command = GuestCommand(
            source: manager,
            arguments: ["/bin/sh", "-eu", script, manager, isOffline ? "no" : "yes", weak],
            environment: environment,
            failure: .packagesFailed,
            title: "installing packages: \(manager)"
        )
        command.network = !isOffline
        return steps + [.run(command)]
    }

    /// `x` and `-x` cannot both hold: as with files, what a later layer says does.
    private static func decide(_ requests: [Request]) -> (wanted: [Request], unwanted: [Request]) {
        var wanted: [Request] = []
        var unwanted: [Request] = []
        for request in requests {
            if request.name.hasPrefix("-") {
                let bare = Request(String(request.name.dropFirst()), origin: request.origin)
                wanted.removeAll { $0.name == bare.name }
                unwanted.append(bare)
            } else {
                unwanted.removeAll { $0.name == request.name }
                wanted.append(request)
            }
        }
        return (wanted, unwanted)
    }
}
