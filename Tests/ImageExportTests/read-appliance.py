# SPDX-License-Identifier: Apache-2.0
# Copyright the flashlayer authors
#
# read-appliance.py OVA FOLDER: reads an appliance by the standard library alone, holds it to what DSP0243 demands, puts
# its disk into the folder, and prints what its description says, a fact a line.
import hashlib
import sys
import tarfile
import xml.etree.ElementTree as ElementTree

path, folder = sys.argv[1:]
OVF = "{http://schemas.dmtf.org/ovf/envelope/1}"
RASD = "{http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData}"
VSSD = "{http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData}"
VMW = "{http://www.vmware.com/schema/ovf}"

with open(path, "rb") as file:
    assert file.read(512)[257:265] == b"ustar\x0000", "the first header is not ustar's"
with tarfile.open(path, "r:", format=tarfile.USTAR_FORMAT) as archive:
    members = archive.getmembers()
    assert all(member.isreg() and not member.pax_headers for member in members)
    names = [member.name for member in members]
    assert [name.rsplit(".", 1)[1] for name in names] == ["ovf", "mf", "vmdk"], names
    assert names[0][:-4] == names[1][:-3], names
    contents = {name: archive.extractfile(name).read() for name in names}

listed = {}
for line in contents[names[1]].decode().splitlines():
    head, value = line.split("= ")
    assert head.startswith("SHA256(") and head.endswith(")"), line
    listed[head[7:-1]] = value
assert set(listed) == {names[0], names[2]}, listed
for name, value in listed.items():
    assert hashlib.sha256(contents[name]).hexdigest() == value, name

envelope = ElementTree.fromstring(contents[names[0]])
assert envelope.tag == OVF + "Envelope"
sections = [child.tag.replace(OVF, "") for child in envelope]
assert sections in (
    ["References", "DiskSection", "NetworkSection", "VirtualSystem"], ["References", "DiskSection", "VirtualSystem"],
), sections
file = envelope.find(f"{OVF}References/{OVF}File")
assert file.get(OVF + "href") == names[2] and int(file.get(OVF + "size")) == len(contents[names[2]])
disk = envelope.find(f"{OVF}DiskSection/{OVF}Disk")
assert disk.get(OVF + "fileRef") == file.get(OVF + "id")
assert disk.get(OVF + "format").endswith("#streamOptimized")
assert disk.get(OVF + "capacityAllocationUnits") == "byte"
print("capacity", disk.get(OVF + "capacity"))
print("populated", disk.get(OVF + "populatedSize"))
system = envelope.find(OVF + "VirtualSystem")
print("name", system.find(OVF + "Name").text)
hardware = system.find(OVF + "VirtualHardwareSection")
print("type", hardware.find(f"{OVF}System/{VSSD}VirtualSystemType").text)
items = {}
for item in hardware.findall(OVF + "Item"):
    tags = [child.tag.replace(RASD, "") for child in item]
    assert tags == sorted(tags), tags
    facts = {child.tag.replace(RASD, ""): child.text for child in item}
    items[facts["InstanceID"]] = facts
by_type = {facts["ResourceType"]: facts for facts in items.values()}
print("cpus", by_type["3"]["VirtualQuantity"])
assert by_type["4"]["AllocationUnits"] == "byte * 2^20"
print("memory", by_type["4"]["VirtualQuantity"])
assert by_type["17"]["HostResource"] == "ovf:/disk/" + disk.get(OVF + "diskId")
controller = items[by_type["17"]["Parent"]]
print("controller", controller["ResourceType"], controller.get("ResourceSubType", "-"))
if "10" in by_type:
    networks = [network.get(OVF + "name") for network in envelope.findall(f"{OVF}NetworkSection/{OVF}Network")]
    assert by_type["10"]["Connection"] in networks, networks
print("nic", by_type["10"]["ResourceSubType"] if "10" in by_type else "none")
for config in hardware.findall(VMW + "Config"):
    print(config.get(VMW + "key"), config.get(VMW + "value"))
product = system.find(OVF + "ProductSection")
print("product", product.find(OVF + "Product").text)
for tag in ("Vendor", "Version"):
    element = product.find(OVF + tag)
    if element is not None:
        print(tag.lower(), element.text)

with open(f"{folder}/disk.vmdk", "wb") as output:
    output.write(contents[names[2]])
