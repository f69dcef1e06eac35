// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// Makes a guest say, once it has booted, how it is. Only ever done to a throwaway overlay of a disk.
///
/// A unit waits until systemd has started everything, writes lines to a virtio port that nobody else knows, and switches
/// the machine off:
///
///     state running
///     kernel 6.1.0-40-amd64
///     firmware uefi
///     failed NAME.service
///     check INDEX STATUS START END BASE64-OF-OUTPUT
///     end
///
/// START and END are seconds since the machine was started.
package enum BootTestSteps {
    package static let port = "org.flashlayer.boot-test"

    /// How long one assertion may take, in seconds.
    package static let timeLimit = 60

    /// - Parameter assertions: looked at in the guest when it is up; see `check` above.
    package static func steps(_ assertions: [BootAssertion]) -> [GuestStep] {
        let folder = "/etc/flashlayer-boot-test"
        let units = "/etc/systemd/system"
        let unit = "flashlayer-boot-test.service"
        var steps: [GuestStep] = [
            .makeFolder(folder),
            .write("\(folder)/report", contents: report(folder: folder, checks: assertions.count), mode: 0o755),
            .makeFolder(units),
            .write("\(units)/\(unit)", contents: unitText(folder: folder), mode: 0o644),
        ]
        for (index, assertion) in assertions.enumerated() {
            steps.append(.write("\(folder)/check-\(index)", contents: assertion.shell + "\n", mode: 0o644))
        }
        // A boot that ends in a rescue shell is to be told at once, not when the time is over.
        for target in ["multi-user", "emergency", "rescue"] {
            steps.append(.makeFolder("\(units)/\(target).target.wants"))
            steps.append(.link("\(units)/\(target).target.wants/\(unit)", target: "../\(unit)"))
        }
        return steps
    }

    /// Not Type=oneshot: systemd counts as starting up as long as one is, and the report waits until it no longer is.
    private static func unitText(folder: String) -> String {
        """
        [Unit]
        Description=Report of the boot test
        DefaultDependencies=no

        [Service]
        Type=exec
        StandardOutput=null
        ExecStart=/bin/sh \(folder)/report

        """
    }

    private static func report(folder: String, checks: Int) -> String {
        """
        #!/bin/sh
        state=$(systemctl is-system-running --wait)
        exec 3> /dev/virtio-ports/\(port)
        echo "state $state" >&3
        echo "kernel $(uname -r)" >&3
        if [ -d /sys/firmware/efi ]; then echo "firmware uefi" >&3; else echo "firmware bios" >&3; fi
        systemctl list-units --failed --plain --no-legend | while read -r unit rest; do
            echo "failed $unit" >&3
        done
        index=0
        while [ $index -lt \(checks) ]; do
            read -r start rest < /proc/uptime
            timeout \(timeLimit) /bin/sh \(folder)/check-$index > /run/flashlayer-check 2>&1 < /dev/null
            status=$?
            read -r end rest < /proc/uptime
            echo "check $index $status $start $end $(head -c 65536 /run/flashlayer-check | base64 -w 0)" >&3
            index=$((index + 1))
        done
        echo end >&3
        systemctl poweroff --force --force

        """
    }
}
