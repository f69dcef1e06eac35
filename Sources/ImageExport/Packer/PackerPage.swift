// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Layers
import Model

/// The README of a template for Packer.
struct PackerPage {
    let text: String

    init(_ plan: Plan, template: String) {
        text = """
            # \(plan.outputName.printable) \(plan.version.printable), built by Packer

            `\(template)` runs the layers on a base image, in the order in which flashlayer itself does: packages, files,
            environment, each layer's scripts, what boots it, and at last the removal of what makes it one machine.

            Packer 1.7 and later get the plugin for QEMU once; Packer 1.6 has it built in:

                packer init plugins.pkr.hcl

            An image, from a disk image that lets you in by SSH:

                packer build -only=qemu.image \\
                    -var base_image=debian-12-genericcloud-amd64.qcow2 -var http_directory=seed \\
                    -var ssh_private_key_file=id_ed25519 \(template)

            For a cloud image, make `seed/meta-data`, which may be empty, and `seed/user-data`:

                #cloud-config
                disable_root: false
                ssh_authorized_keys:
                  - the text of id_ed25519.pub

            A machine that runs already, which afterwards is ready to be copied, and no longer itself:

                packer build -only=null.machine -var ssh_host=192.0.2.7 \\
                    -var ssh_private_key_file=id_ed25519 \(template)

            Where root may not log in: `-var ssh_username=admin -var sudo="sudo -n"`. Without KVM: `-var accelerator=tcg`. All
            variables are described at the top of the template; `packer validate` with the same arguments checks it.

            Name the template, not the folder: Packer 1.6 does not know what stands in `plugins.pkr.hcl`.

            | | |
            |---|---|
            | `payload.tar` | the layers, and `install.sh`, which does all the work; it also runs without Packer |
            | `provision/` | what Packer runs on the machine, one after the other |

            \(BundlePage.limits(plan))
            `payload.tar` has the password hashes of the recipe's users, if it has any: keep it as you keep those. A key that
            cloud-init has put into the image for Packer stays there, unless a layer brings the file.

            """
    }
}
