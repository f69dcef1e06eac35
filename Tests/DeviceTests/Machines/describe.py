#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the flashlayer authors
"""Writes the machines of this folder: NAME.umockdev (sysfs and udev's properties; see umockdev(7)), NAME.mountinfo and
NAME.swaps (what procfs would say). Run it after a change, and keep what it writes."""

import os

FOLDER = os.path.dirname(os.path.abspath(__file__))


class Machine:
    def __init__(self, name):
        self.name = name
        self.records = []
        self.places = {}
        self.mounts = ["21 1 0:2 / / rw - rootfs rootfs rw", "22 21 0:21 / /proc rw,relatime - proc proc rw"]
        self.swaps = ["Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority"]

    def record(self, place, lines):
        self.records.append("\n".join([f"P: {place}"] + lines) + "\n")

    def device(self, place, subsystem, attributes):
        self.record(place, [f"E: SUBSYSTEM={subsystem}"] + [f"A: {key}={value}\\n" for key, value in attributes.items()])

    def block(self, name, number, place, size, kind, attributes, links, properties):
        self.places[name] = place
        major, minor = number.split(":")
        known = {"DEVNAME": f"/dev/{name}", "DEVTYPE": kind, "MAJOR": major, "MINOR": minor, "SUBSYSTEM": "block"}
        shown = {"dev": number, "size": size // 512, "ro": 0}
        self.record(
            place,
            [f"N: {name}"]
            + [f"E: {key}={value}" for key, value in (known | properties).items()]
            + [f"A: {key}={value}\\n" for key, value in (shown | attributes).items()]
            + [f"L: {key}={os.path.relpath(target, os.path.join(place, os.path.dirname(key)))}"
               for key, target in links.items()],
        )

    def disk(self, name, number, folder, size, attributes=None, links=None, sector=512, **properties):
        queue = {"queue/logical_block_size": sector, "queue/physical_block_size": sector, "removable": 0,
                 "diskseq": int(number.split(":")[1]) + 100}
        links = dict(links or {})
        if not folder.startswith("/devices/virtual"):
            links["device"] = folder
        self.block(name, number, f"{folder}/block/{name}", size, "disk", queue | (attributes or {}), links, properties)

    def partition(self, name, number, disk, index, start, size, **properties):
        place = f"{self.places[disk]}/{name}"
        self.block(name, number, place, size, "partition", {"partition": index, "start": start // 512}, {}, properties)

    def stack(self, name, number, size, lower, attributes):
        """A device built on others, which say so as well."""
        place = f"/devices/virtual/block/{name}"
        self.disk(name, number, "/devices/virtual", size, attributes, {f"slaves/{each}": self.places[each] for each in lower})
        for each in lower:
            index = next(i for i, text in enumerate(self.records) if text.startswith(f"P: {self.places[each]}\n"))
            target = os.path.relpath(place, f"{self.places[each]}/holders")
            self.records[index] += f"L: holders/{name}={target}\n"

    def mount(self, device, point, kind, source, options="rw"):
        self.mounts.append(f"{21 + len(self.mounts)} 21 {device} / {point} rw,relatime - {kind} {source} {options}")

    def stick(self, name, number, ports, size, vendor, model, serial, usb="", **properties):
        """A USB stick in a port of the controller; `usb` is what its serial number looks like in sysfs."""
        device = f"/devices/pci0000:00/0000:00:14.0/usb1/1-{ports}"
        host = 20 + int(number.split(":")[1]) // 16
        self.device(device, "usb", {"busnum": 1, "devnum": host, "speed": 480, "serial": usb or serial})
        scsi = f"{device}/1-{ports}:1.0/host{host}/target{host}:0:0/{host}:0:0:0"
        self.device(scsi, "scsi", {"vendor": "Generic", "model": "Flash Disk", "state": "running"})
        encoded = {"ID_BUS": "usb", "ID_VENDOR_ENC": vendor, "ID_MODEL_ENC": model, "ID_SERIAL_SHORT": serial}
        self.disk(name, number, scsi, size, {"removable": 1}, **(encoded | properties))

    def write(self):
        texts = {"umockdev": "\n".join(self.records) + "\n", "mountinfo": "\n".join(self.mounts) + "\n",
                 "swaps": "\n".join(self.swaps) + "\n"}
        for suffix, text in texts.items():
            with open(f"{FOLDER}/{self.name}.{suffix}", "w", encoding="utf-8") as file:
                file.write(text)


def laptop():
    """Root and swap on LVM in LUKS on NVMe, and a stick."""
    machine = Machine("laptop")
    nvme = "/devices/pci0000:00/0000:00:1d.0/0000:03:00.0/nvme/nvme0"
    machine.device(nvme, "nvme", {"model": "Samsung SSD 980 1TB", "serial": "S64DNX0R", "state": "live"})
    machine.disk("nvme0n1", "259:0", nvme, 1_000_204_886_016, {"wwid": "eui.002538d0"})
    machine.partition("nvme0n1p1", "259:1", "nvme0n1", 1, 1 << 20, 512 << 20)
    machine.partition("nvme0n1p2", "259:2", "nvme0n1", 2, 513 << 20, 1 << 30)
    machine.partition("nvme0n1p3", "259:3", "nvme0n1", 3, 1537 << 20, 998_000_000_000 // 512 * 512)
    machine.stack("dm-0", "253:0", 998_000_000_000 // 512 * 512, ["nvme0n1p3"], {"dm/name": "cryptroot"})
    machine.stack("dm-1", "253:1", 900 << 30, ["dm-0"], {"dm/name": "vg-root"})
    machine.stack("dm-2", "253:2", 16 << 30, ["dm-0"], {"dm/name": "vg-swap"})
    machine.stick("sda", "8:0", "3", 31_457_280_000, "SanDisk", "Ultra", "4C530001")
    machine.mount("253:1", "/", "ext4", "/dev/mapper/vg-root")
    machine.mount("259:2", "/boot", "ext4", "/dev/nvme0n1p2")
    machine.mount("259:1", "/boot/efi", "vfat", "/dev/nvme0n1p1")
    machine.swaps.append("/dev/dm-2                               partition\t16777212\t0\t\t-2")
    return machine


def server():
    """24 disks: a mirror with the root, a RAID of four, a volume of the network by two paths, spare ones."""
    machine = Machine("server")
    for index in range(24):
        name, number = f"sd{chr(ord('a') + index)}", f"{8 if index < 16 else 65}:{index % 16 * 16}"
        if index < 22:
            adapter = "/devices/pci0000:00/0000:00:02.2/0000:03:00.0/host0"
            scsi = f"{adapter}/port-0:{index}/end_device-0:{index}/target0:0:{index}/0:0:{index}:0"
            facts, size = {"vendor": "SEAGATE", "model": "ST4000NM0023"}, 4_000_787_030_016
        else:
            path = index - 22
            scsi = (f"/devices/pci0000:80/0000:80:03.0/0000:82:00.{path}/host{7 + path}/rport-{7 + path}:0-0"
                    f"/target{7 + path}:0:0/{7 + path}:0:0:1")
            facts, size = {"vendor": "NETAPP", "model": "LUN C-Mode"}, 1 << 40
        if index < 2:
            size = 480_103_981_056
        machine.device(scsi, "scsi", facts | {"state": "running", "ioerr_cnt": "0x3" if index == 6 else "0x0"})
        machine.disk(name, number, scsi, size, {"queue/rotational": 1}, ID_WWN=f"0x5000c500{min(index, 22):08x}")
        if index < 2:
            major, minor = number.split(":")
            machine.partition(f"{name}1", f"{major}:{int(minor) + 1}", name, 1, 1 << 20, 400 << 30)
    machine.stack("md0", "9:0", 400 << 30, ["sda1", "sdb1"], {"md/level": "raid1"})
    machine.stack("md1", "9:1", 12_000_000_000_000 // 512 * 512, ["sdc", "sdd", "sde", "sdf"], {"md/level": "raid5"})
    machine.stack("dm-0", "253:0", 1 << 40, ["sdw", "sdx"], {"dm/name": "mpatha"})
    machine.mount("9:0", "/", "ext4", "/dev/md0")
    machine.mount("9:1", "/srv", "xfs", "/dev/md1")
    return machine


def raspberry():
    """Runs from its card; a stick is there."""
    machine = Machine("raspberry")
    card = "/devices/platform/emmc2bus/fe340000.mmc/mmc_host/mmc0/mmc0:aaaa"
    machine.device(card, "mmc", {"type": "SD", "name": "SC32G", "serial": "0x5a1b2c3d"})
    machine.disk("mmcblk0", "179:0", card, 31_914_983_424)
    machine.partition("mmcblk0p1", "179:1", "mmcblk0", 1, 4 << 20, 512 << 20)
    machine.partition("mmcblk0p2", "179:2", "mmcblk0", 2, 516 << 20, 29 << 30)
    machine.stick("sda", "8:0", "1.2", 16_008_609_792, "Kingston", "DataTraveler\\x203.0", "60A44C41")
    machine.mount("179:2", "/", "ext4", "/dev/mmcblk0p2")
    machine.mount("179:1", "/boot/firmware", "vfat", "/dev/mmcblk0p1")
    return machine


def reader():
    """A PC, and a card reader with four slots of which none has a card."""
    machine = Machine("reader")
    sata = "/devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0"
    machine.device(sata, "scsi", {"vendor": "ATA", "model": "SSD 860"})
    machine.disk("sda", "8:0", sata, 500_107_862_016)
    machine.partition("sda1", "8:1", "sda", 1, 1 << 20, 400 << 30)
    usb = "/devices/pci0000:00/0000:00:14.0/usb1/1-7"
    machine.device(usb, "usb", {"busnum": 1, "devnum": 9, "speed": 480, "serial": "058F63666433"})
    for slot, kind in enumerate(["CF", "SD", "SM", "MS"]):
        scsi = f"{usb}/1-7:1.0/host6/target6:0:0/6:0:0:{slot}"
        machine.device(scsi, "scsi", {"vendor": "Generic", "model": f"USB {kind} Reader"})
        machine.disk(f"sd{'bcde'[slot]}", f"8:{16 * (slot + 1)}", scsi, 0, {"removable": 1})
    machine.mount("8:1", "/", "ext4", "/dev/sda1")
    return machine


def sticks():
    """A machine that runs from memory, with sticks whose names were chosen to do harm."""
    machine = Machine("sticks")
    size = 8_004_304_896
    machine.stick("sda", "8:0", "1", size, "<b>", "<script>alert(1)</script>", "\"><img\\x20src=x>", "\"><img src=x>")
    machine.stick("sdb", "8:16", "2", size, "Evil", "a\\x1b[2Jb\\x07c\\x0ad", "S1", r"S1\033[31m\r2\n3")
    machine.stick("sdc", "8:32", "3", size, "Right", "\u202egpj.exe", "\u200f99\u2066x")
    machine.stick("sdd", "8:48", "4", size, "Long", "M" * 300, "7" * 300)
    machine.stick("sde", "8:64", "5", size, "Twin", "Stick", "0123456789")
    machine.stick("sdf", "8:80", "6", size, "Twin", "Stick", "0123456789")
    machine.stick("sdg", "8:96", "7", size, "", "", "")
    machine.mount("0:30", "/", "tmpfs", "tmpfs")
    return machine


if __name__ == "__main__":
    for make in (laptop, server, raspberry, reader, sticks):
        make().write()
