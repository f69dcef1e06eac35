// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// Installs Python packages with the guest's own Python, over the network.
package enum PipSteps {
    /// Debian packages that pip needs and that a guest may lack.
    package static func debianPackages(for python: ImageSettings.Python) -> [String] {
        python == .venv ? ["python3-venv"] : ["python3-pip"]
    }

    /// - Parameters:
    ///   - name: of the image: the virtual environment is /opt/NAME/venv.
    ///   - hostCertificates: this machine's own bundle, which knows of a proxy that looks into TLS; nil when there is none.
    package static func install(
        _ requirements: [String],
        python: ImageSettings.Python,
        name: String,
        hostCertificates: String?
    ) -> [GuestStep] {
        let list = "\(GuestFolder.scratch)/requirements.txt"
        let certificates = "\(GuestFolder.scratch)/certificates.pem"
        var environment = GuestCommand.standardEnvironment
        environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
        environment["PIP_NO_CACHE_DIR"] = "1"
        environment["PIP_ROOT_USER_ACTION"] = "ignore"
        environment["PIP_NO_INPUT"] = "1"
        var steps: [GuestStep] = [
            .write(list, contents: requirements.map { $0 + "\n" }.joined(), mode: 0o644)
        ]
        if let hostCertificates {
            steps.append(.upload(hostPath: hostCertificates, to: certificates, mode: 0o644))
            environment["PIP_CERT"] = certificates
        }
        let venv = "/opt/\(name)/venv".shellQuoted
        let shell =
            switch python {
            case .venv:
                """
                [ -x \(venv)/bin/python ] || python3 -m venv \(venv)
                exec \(venv)/bin/python -m pip install -r \(list)
                """
            case .system:
                // PEP 668: a Python that its distribution manages says so by a file, and is told that this is meant.
                """
                marker=$(python3 -c 'import sys, sysconfig; sys.stdout.write(sysconfig.get_path("stdlib") + "/EXTERNALLY-MANAGED")')
                set --
                [ ! -e "$marker" ] || set -- --break-system-packages
                exec python3 -m pip install "$@" -r \(list)
                """
            }
        steps.append(
            .run(
                GuestCommand(
                    shell: shell,
                    source: "pip",
                    environment: environment,
                    failure: .packagesFailed,
                    title: "installing Python packages: pip"
                )
            )
        )
        return steps
    }
}
