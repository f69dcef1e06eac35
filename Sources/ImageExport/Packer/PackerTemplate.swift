// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// The text of a template for Packer, in HCL2 as Packer 1.6.6 reads it, and all later ones. Nothing of the layers is in it:
/// names of parts are plain words, and all else travels in the payload.
struct PackerTemplate {
    /// Of the image: letters, digits, '.', '_' and '-'.
    let name: String
    /// Scripts to run on the machine, in order, relative to the template.
    let scripts: [String]

    static let payload = "payload.tar"

    var text: String {
        [Self.head, Self.variables, sources, build].joined(separator: "\n")
    }

    private static let head = """
        # Builds an image by Packer from the same layers that flashlayer builds from, in the same order. README.md beside it
        # says how. The first word of -only says on what:
        #
        #   qemu.image     a virtual machine that starts from a disk image, and becomes an image
        #   null.machine   a machine that runs already, reached by SSH
        #
        # Packer 1.6 reads this file alone. Later versions find in plugins.pkr.hcl what 'packer init' is to install.

        """

    private static let variables = #"""
        variable "base_image" {
          type        = string
          default     = ""
          description = "Path or URL of the disk image, or the ISO, to start from."
        }

        variable "base_image_checksum" {
          type        = string
          default     = "none"
          description = "Its checksum: sha256:HEX, file:URL of a SHA256SUMS, or none."
        }

        variable "base_is_disk" {
          type        = bool
          default     = true
          description = "Whether base_image is a disk image, and not an ISO that installs."
        }

        variable "boot_command" {
          type        = list(string)
          default     = []
          description = "What is typed into the machine when it starts: for ISOs."
        }

        variable "http_directory" {
          type        = string
          default     = ""
          description = "A folder with user-data and meta-data for cloud-init, or what an ISO asks for."
        }

        variable "disk_size" {
          type        = string
          default     = "8G"
          description = "Size of the image's disk."
        }

        variable "output_directory" {
          type        = string
          default     = "output"
          description = "A folder that is not there yet."
        }

        variable "format" {
          type        = string
          default     = "qcow2"
          description = "qcow2 or raw."
        }

        variable "accelerator" {
          type        = string
          default     = "kvm"
          description = "kvm, or tcg where there is none."
        }

        variable "headless" {
          type        = bool
          default     = true
          description = "Whether the machine's screen stays unseen."
        }

        variable "memory" {
          type        = number
          default     = 2048
          description = "MiB."
        }

        variable "cpus" {
          type        = number
          default     = 2
          description = "Processors of the machine."
        }

        variable "ssh_host" {
          type        = string
          default     = ""
          description = "The machine that runs already."
        }

        variable "ssh_port" {
          type        = number
          default     = 22
          description = "Of the machine that runs already."
        }

        variable "ssh_username" {
          type        = string
          default     = "root"
          description = "Who logs in: root, or somebody whom sudo lets through."
        }

        variable "ssh_password" {
          type        = string
          default     = ""
          description = "Better: ssh_private_key_file."
        }

        variable "ssh_private_key_file" {
          type        = string
          default     = ""
          description = "A file that no passphrase protects."
        }

        variable "ssh_timeout" {
          type        = string
          default     = "10m"
          description = "How long the machine may take to start."
        }

        variable "sudo" {
          type        = string
          default     = ""
          description = "For an ssh_username that is not root: sudo -n."
        }

        """#

    private static let login = #"""
          ssh_username         = var.ssh_username
          ssh_password         = var.ssh_password
          ssh_private_key_file = var.ssh_private_key_file
          ssh_timeout          = var.ssh_timeout
        """#

    private var sources: String {
        #"""
        source "qemu" "image" {
          iso_url          = var.base_image
          iso_checksum     = var.base_image_checksum
          disk_image       = var.base_is_disk
          boot_command     = var.boot_command
          http_directory   = var.http_directory
          vm_name          = "NAME.${var.format}"
          output_directory = var.output_directory
          disk_size        = var.disk_size
          format           = var.format
          accelerator      = var.accelerator
          headless         = var.headless
          memory           = var.memory
          cpus             = var.cpus
          disk_interface   = "virtio"
          net_device       = "virtio-net"
          shutdown_command = "${var.sudo} systemctl poweroff"

          # Where cloud-init of the base image, if it has one, asks for its user-data. Others do not look at it.
          qemuargs = [
            ["-smbios", "type=1,serial=ds=nocloud-net;s=http://{{ .HTTPIP }}:{{ .HTTPPort }}/"],
          ]

        LOGIN
        }

        source "null" "machine" {
          ssh_host = var.ssh_host
          ssh_port = var.ssh_port

        LOGIN
        }

        """#
        .replacing("NAME", with: name)
        .replacing("LOGIN", with: Self.login)
    }

    private var build: String {
        let shells = scripts.map { script in
            #"""

              provisioner "shell" {
                script          = "${path.root}/SCRIPT"
                execute_command = "{{ .Vars }} ${var.sudo} sh '{{ .Path }}'"
              }

            """#
            .replacing("SCRIPT", with: script)
        }
        return #"""
            build {
              sources = ["source.qemu.image", "source.null.machine"]

              # Into the home of whoever logs in: no other may put something in its place.
              provisioner "file" {
                source      = "${path.root}/PAYLOAD"
                destination = "flashlayer-payload.tar"
              }

            """#
            .replacing("PAYLOAD", with: Self.payload) + shells.joined() + "}\n"
    }

    /// What Packer 1.6 does not understand: the plugin, which is a part of Packer itself there.
    static let plugins = """
        # For Packer 1.7 and later: 'packer init plugins.pkr.hcl' installs this. Packer 1.6 has it built in, and does not
        # know these words: name the template itself, not the folder, when you call it.
        packer {
          required_plugins {
            qemu = {
              source  = "github.com/hashicorp/qemu"
              version = ">= 1.0.0"
            }
          }
        }

        """
}
