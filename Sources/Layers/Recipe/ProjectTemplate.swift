// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// A new project, as `flashlayer new` writes it: builds as it stands, and says in comments what else there is.
package struct ProjectTemplate: Sendable {
    package struct File: Sendable {
        /// From the project's folder.
        package let path: String
        package let text: String
        package let mode: UInt32
    }

    /// Of the image.
    package let name: String
    private let hostname: String

    /// - Parameter folder: the name of the project's folder, which may be anything.
    package init(folder: String) {
        let plain = folder.lowercased().unicodeScalars.map { scalar in
            scalar.isASCII && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)) ? Character(scalar) : "-"
        }
        // A host name's label, which is a file's name as well.
        let words = String(plain.prefix(63)).split(separator: "-").joined(separator: "-")
        name = words.isEmpty ? "image" : words
        hostname = name
    }

    package var files: [File] {
        [
            file("flashlayer.toml", recipe),
            file("README.md", readme),
            file(".gitignore", ignored),
            file("layers/base/packages/debs.txt", basePackages),
            file("layers/base/environment", baseEnvironment),
            file("layers/base/configs/etc/motd", "This machine was built by flashlayer.\n"),
            file("layers/hello/layer-dependencies", dependencies),
            file("layers/hello/packages/debs.txt", helloPackages),
            file("layers/hello/configs/usr/local/bin/hello", program, mode: 0o755),
            file("layers/hello/configs/etc/systemd/system/hello.service", unit),
            file("layers/hello/scripts/10-enable.sh", script, mode: 0o755),
        ]
    }

    private func file(_ path: String, _ text: String, mode: UInt32 = 0o644) -> File {
        File(path: path, text: text, mode: mode)
    }

    // MARK: - The project

    private var recipe: String {
        """
        # The recipe of \(name): what to start from, which layers to apply, how the image is to be.
        # What is commented out shows a choice, or what holds anyway.

        name = "\(name)"                         # of the outputs: \(name).qcow2, \(name).bmap, \(name).json
        version = "0.1.0"
        # outputs = ["vdi", "vmdk"]              # made as well by flashlayer build --all

        [base]
        # Either a fresh Debian, for which no image is needed ...
        bootstrap = { distribution = "debian", suite = "bookworm" }
        # ... or a disk image that is there already; the file itself is never changed.
        # image = "debian-12-generic-amd64.qcow2"
        # sha256 = "64 hexadecimal digits"       # of that file; another one is then refused

        [image]
        size = "2G"                              # of the disk; G is 2^30 bytes, GB is 10^9
        firmware = ["bios", "uefi"]              # one disk that starts old and new machines
        hostname = "\(hostname)"
        timezone = "UTC"                         # or "Europe/Berlin"
        locale = "C.UTF-8"
        kernel-arguments = ["console=tty0", "console=ttyS0"]
        # python = "venv"                        # packages/python.txt goes into /opt/\(name)/venv; or "system"
        # grow = true                            # at first boot the root file system takes the whole disk
        # network = true                         # whether scripts may use the network

        [packages]
        recommends = false                       # only what is named, and what that cannot do without

        # Layers, in the order in which they are applied. A layer is a folder:
        #   packages/debs.txt    Debian packages, one a line
        #   packages/rpms.txt    the same where the base is Red Hat's, and packages/python.txt for pip
        #   configs/             laid over / of the image
        #   scripts/             run inside the image, in the order of their names
        #   environment          KEY=VALUE, for logins and for scripts
        #   layer-dependencies   layers that have to be applied before this one
        # layers/base is not named here: layers/hello depends on it.
        [[layer]]
        type = "local"
        path = "layers/hello"

        # [[layer]]
        # type = "git"
        # url = "https://git.example/os-layer.git"
        # branch_or_tag = "main"

        # What 'flashlayer boot-test \(name).qcow2' looks at, beside what systemd itself says.
        [boot-test]
        units = ["hello.service"]
        commands = ["hello | grep -q flashlayer"]
        # timeout = 600                          # seconds for each boot
        # firmware = ["bios", "secure-boot"]

        # The machine that an appliance (outputs = ["ova"]) asks for.
        # [vm]
        # cpus = 2
        # memory = "2G"

        # Another image of the same project, by 'flashlayer build --variant lab'.
        # [variant.lab.image]
        # hostname = "\(hostname)-lab"

        """
    }

    private var readme: String {
        """
        # \(name)

        A disk image made of layers by flashlayer.

            flashlayer lint                      # every fault of the recipe and the layers
            flashlayer plan                      # what a build would do, without doing it
            flashlayer build                     # makes \(name).qcow2 here
            flashlayer boot-test \(name).qcow2    # boots a throwaway copy of it, by BIOS and by UEFI
            flashlayer devices                   # disks that can be written
            flashlayer build-and-write /dev/sdX  # builds, writes, reads every byte back

        `flashlayer doctor` says what this machine lacks for that, and how to mend it.

        | place | what it is |
        |---|---|
        | `flashlayer.toml` | the recipe, with all that can be said in one |
        | `layers/base` | what every machine of yours has |
        | `layers/hello` | a service, as an example: replace it |

        `flashlayer.lock`, which a build writes, pins all versions: keep it in git.

        """
    }

    private var ignored: String {
        """
        # What builds and boot tests leave. Each can be made again from the recipe and flashlayer.lock, which belong here.
        /*.qcow2
        /*.raw
        /*.img
        /*.bmap
        /*.json
        /*.log
        /*.xml

        """
    }

    // MARK: - The layers

    private var basePackages: String {
        """
        # One package a line. A version may be said (jq=1.6*), and -name is one that must not be there.
        less
        # openssh-server

        """
    }

    private var baseEnvironment: String {
        """
        # KEY=VALUE, to the letter: goes to /etc/environment, and scripts see it as well. A later layer's value wins.
        SITE_NAME=example

        """
    }

    private var dependencies: String {
        """
        # Layers that are applied before this one, one name a line.
        base

        """
    }

    private var helloPackages: String {
        """
        # What only this layer needs. All layers' packages are installed together, before any file is laid down.
        jq

        """
    }

    private var program: String {
        """
        #!/bin/sh
        # Lands in /usr/local/bin/hello: all below configs/ is laid over / of the image, with its mode.
        exec jq --null-input --arg site "${SITE_NAME:-nowhere}" '{from: "flashlayer", site: $site}'

        """
    }

    private var unit: String {
        """
        # See systemd.service(5).
        [Unit]
        Description=Says hello at every boot

        [Service]
        Type=oneshot
        RemainAfterExit=yes
        EnvironmentFile=/etc/environment
        ExecStart=/usr/local/bin/hello

        [Install]
        WantedBy=multi-user.target

        """
    }

    private var script: String {
        """
        #!/bin/sh
        # Scripts run inside the image while it is built, by their own first line. The first that fails stops the build.
        # No systemd runs then, but units can be enabled.
        set -eu

        systemctl enable hello.service
        # What is wrong shows here, and not at the first boot.
        hello > /dev/null

        """
    }
}
