# SPDX-License-Identifier: Apache-2.0
# Copyright the flashlayer authors
#
# read-disk.py READER FORMAT FILE: prints the size of a disk in bytes and the SHA-256 of its whole content, as a reader
# finds them that shares no code with QEMU.
import hashlib
import pathlib
import sys

reader, kind, path = sys.argv[1:]


def dissect():
    if kind == "vdi":
        from dissect.hypervisor.disk.vdi import VDI
        disk = VDI(open(path, "rb"))
        # It goes astray when asked for more than a block at a time.
        return disk.size, disk.open().read, disk.block_size
    if kind == "vmdk":
        from dissect.hypervisor.disk.vmdk import VMDK
        disk = VMDK(pathlib.Path(path))
        return disk.size, disk.read, 1 << 20
    from dissect.hypervisor.disk.vhdx import VHDX
    disk = VHDX(open(path, "rb"))
    return disk.size, disk.read, 1 << 20


def libyal():
    if kind == "vmdk":
        import pyvmdk
        disk = pyvmdk.handle()
        disk.open(path)
        disk.open_extent_data_files()
    else:
        import pyvhdi
        disk = pyvhdi.file()
        disk.open(path)
    return disk.get_media_size(), disk.read_buffer, 1 << 20


size, read, unit = {"dissect": dissect, "libyal": libyal}[reader]()
digest = hashlib.sha256()
done = 0
while done < size:
    piece = read(min(unit, size - done))
    if not piece:
        sys.exit(f"{path} ends at byte {done} of {size}")
    digest.update(piece)
    done += len(piece)
print(size, digest.hexdigest())
