// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// Every place where a part of a layer may stand, in the order in which they are read. All that are present count.
package enum LayerSpellings {
    package static let debianPackages =
        ["packages/debs.txt", "packages/dpms.txt"]
        + ["deb", "dep", "dpm"].map { "package-lists/\($0)-requirements.txt" }
        + ["packages", "package-lists"].flatMap { folder in ["deb", "dpm"].map { "\(folder)/\($0)-requirments.txt" } }

    package static let redHatPackages = [
        "packages/rpms.txt", "package-lists/rpm-requirements.txt",
        "packages/rpm-requirments.txt", "package-lists/rpm-requirments.txt",
    ]

    package static let pythonPackages = [
        "packages/python.txt", "package-lists/pip-requirements.txt",
        "packages/pip-requirments.txt", "package-lists/pip-requirments.txt",
    ]

    package static let environment = ["environment", "envionrment"]
    package static let dependencies = ["layer-dependencies"]
    package static let owners = ["owners"]
    package static let configs = "configs"
    package static let scripts = "scripts"

    static let folders = ["packages", "package-lists"]

    /// The files, all but those of `configs/` and `scripts/`.
    static let files = debianPackages + redHatPackages + pythonPackages + environment + dependencies + owners
}
