// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Layers
import Model

/// The README of a bundle.
struct BundlePage {
    let text: String

    init(_ plan: Plan) {
        text = """
            # \(plan.outputName.printable) \(plan.version.printable), for machines that run

            `install.sh` brings a machine to what the layers ask for. Copy this folder to it, and as root:

                sh install.sh --dry-run
                sh install.sh

            The first says what would be done, the second does it. What was done and is still the same is left alone, so
            that a second run changes nothing; `sh install.sh --help` has the options and exit statuses. All that is said
            goes to /var/log/flashlayer-script.log as well.

            | | |
            |---|---|
            | `steps/` | what is done, a file for each part |
            | `scripts-.../` | the layers' scripts, as they are |
            | `files/` | lists, keys and programs that the steps lay down and run |
            | `overlay.tar`, `early.tar` | the layers' files, with owners and modes |
            | `SHA256SUMS` | what is checked before anything is done |

            \(Self.limits(plan))
            Password hashes of the recipe's users, if it has any, lie in `files/packages/passwords`: keep this folder as you
            keep those.

            """
    }

    /// What a machine that runs is not given.
    static func limits(_ plan: Plan) -> String {
        """
        A build makes a disk; this does not. Partitions, boot firmware and the growing of the root file system stay as they
        are. Packages have the versions of the machine's own package sources. Processes that scripts leave running go on. A
        host name, a time zone and kernel arguments hold from the next start.

        """
    }
}
