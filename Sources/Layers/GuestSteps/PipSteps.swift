// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// Installs Python packages with the guest's own Python, which decides what fits it. First everything becomes wheels, then
/// those are installed and nothing else: what was chosen can be written down, kept, and asked for again to the letter.
package enum PipSteps {
    /// Debian packages that pip needs and that a guest may lack.
    package static func debianPackages(for python: ImageSettings.Python) -> [String] {
        python == .venv ? ["python3-venv"] : ["python3-pip"]
    }

    private static let folder = "\(GuestFolder.scratch)/pip"

    /// The wheels that were installed, a line each: name, version, platform, SHA-256 and file, with tabs between.
    package static let resolved = "\(folder)/resolved"

    /// - Parameters:
    ///   - name: of the image: the virtual environment is /opt/NAME/venv.
    ///   - hostCertificates: this machine's own bundle, which knows of a proxy that looks into TLS; nil when there is none.
    ///   - locked: lines as in `resolved`: exactly these wheels, or a failure. nil: what the package indexes have today.
    ///   - isOffline: nothing but what the drive of downloads holds.
    package static func install(
        _ requirements: [String],
        python: ImageSettings.Python,
        name: String,
        hostCertificates: String?,
        locked: [String]? = nil,
        isOffline: Bool = false
    ) -> [GuestStep] {
        let certificates = "\(folder)/certificates.pem"
        var environment = GuestCommand.standardEnvironment
        environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
        environment["PIP_CACHE_DIR"] = "\(GuestFolder.downloads)/pip"
        environment["PIP_ROOT_USER_ACTION"] = "ignore"
        environment["PIP_NO_INPUT"] = "1"
        // The order in a set shows in compiled files.
        environment["PYTHONHASHSEED"] = "0"
        let script = "\(folder)/install.sh"
        var steps: [GuestStep] = [
            .makeFolder(folder),
            .write("\(folder)/requirements.txt", contents: requirements.map { $0 + "\n" }.joined(), mode: 0o644),
            .write(script, contents: self.script, mode: 0o600),
        ]
        if let locked {
            steps.append(.write("\(folder)/locked", contents: locked.map { "\($0)\n" }.joined(), mode: 0o600))
        }
        if let hostCertificates {
            steps.append(.upload(hostPath: hostCertificates, to: certificates, mode: 0o644))
            environment["PIP_CERT"] = certificates
        }
        let place = python == .venv ? "/opt/\(name)/venv" : ""
        var command = GuestCommand(
            source: "pip",
            arguments: ["/bin/sh", "-eu", script, isOffline ? "no" : "yes", place],
            environment: environment,
            failure: .packagesFailed,
            title: "installing Python packages: pip"
        )
        command.network = !isOffline
        return steps + [.run(command)]
    }

    /// `install.sh NETWORK VENV`; without a VENV, into the system.
    private static let script = """
        network=$1 venv=$2
        cd \(folder)
        downloads=\(GuestFolder.downloads)
        mkdir -p $downloads/wheels $downloads/requirements
        # On the drive: wheels may be larger than the memory.
        exact=$downloads/wheels.exact
        rm -rf $exact
        mkdir $exact
        if [ -n "$venv" ]; then
            [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
            python=$venv/bin/python
            set --
        else
            python=python3
            # PEP 668: a Python that its distribution manages says so by a file, and is told that this is meant.
            marker=$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib") + "/EXTERNALLY-MANAGED")')
            set --
            [ ! -e "$marker" ] || set -- --break-system-packages
        fi

        list_exact() { # name, version, platform, SHA-256 and file of each wheel
            for wheel in $exact/*.whl; do
                [ ! -e "$wheel" ] || sha256sum "$wheel"
            done | awk -v OFS='\\t' '{
                sum = substr($0, 1, 64)
                n = split(substr($0, 67), path, "/")
                file = path[n]
                n = split(file, part, "-")
                sub(/\\.whl$/, "", part[n])
                print part[1], part[2], part[n], sum, file
            }'
        }

        # Without the network, what these requirements came to the last time is what there is.
        key=$({ cat requirements.txt; "$python" -VV; cat /etc/pip.conf 2> /dev/null || true; } | sha256sum | cut -c 1-64)
        remembered=$downloads/requirements/$key
        locked=locked
        if [ ! -e locked ] && [ $network = no ]; then
            if [ ! -e $remembered ]; then
                echo 'there is no network, and these Python packages were never fetched before'
                exit 1
            fi
            locked=$remembered
        fi

        if [ -e $locked ]; then
            : > missing
            tab=$(printf '\\t')
            while IFS=$tab read -r name version platform sum file; do
                kept=$downloads/wheels/$sum/$file
                if [ -e "$kept" ] && [ "$(sha256sum < "$kept" | cut -c 1-64)" = $sum ]; then
                    cp "$kept" $exact/
                elif [ $network = yes ]; then
                    echo "$name==$version" >> missing
                else
                    echo "the wheel $file is not in the cache, and there is no network"
                    exit 1
                fi
            done < $locked
            if [ -s missing ]; then "$python" -m pip wheel --no-deps --wheel-dir $exact -r missing; fi
            list_exact > resolved
            if grep -Fxv -f $locked resolved > strange || grep -Fxv -f resolved $locked > lacking; then
                cat strange lacking 2> /dev/null | while read -r name version platform sum file; do
                    echo "the wheel $file is not, or no longer, the one that the lock names (SHA-256 $sum)"
                done
                exit 1
            fi
        else
            "$python" -m pip wheel --wheel-dir $exact -r requirements.txt
            list_exact > resolved
        fi

        # By name, so that pip knows what was asked for. Places, digests and options were for choosing, and would lead back
        # to the network, or refuse what was built: then all are named by their versions.
        if grep -Eq -e '://' -e '(^|[[:blank:]])-' requirements.txt; then
            awk -F '\\t' '{ print $1 "==" $2 }' resolved > chosen
            set -- "$@" --no-deps
        else
            cp requirements.txt chosen
        fi
        "$python" -m pip install --no-index --find-links $exact "$@" -r chosen

        while IFS=$(printf '\\t') read -r name version platform sum file; do
            mkdir -p $downloads/wheels/$sum
            mv -f "$exact/$file" $downloads/wheels/$sum/
        done < resolved
        rm -rf $exact
        cat resolved > $remembered
        """
}
