// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// What of a disk a hint asks about. The words are those of OpenStack Ironic's root device hints where it has one.
package enum HintKey: String, CaseIterable, Sendable {
    case name, model, vendor, serial, wwn, hctl, size, rotational, transport, removable, slot
    case wwnWithExtension = "wwn_with_extension"
    case wwnVendorExtension = "wwn_vendor_extension"
    case byPath = "by_path"

    enum Kind {
        case text
        /// Bytes.
        case size
        case flag
    }

    /// Reads a word in any case, with a hyphen for an underscore, and under the other names that are in use.
    init?(_ word: String) {
        let plain = String(word.lowercased().map { $0 == "-" ? "_" : $0 })
        let others: [String: HintKey] = ["tran": .transport, "port": .slot, "path": .name]
        guard let key = HintKey(rawValue: plain) ?? others[plain] else { return nil }
        self = key
    }

    var kind: Kind {
        switch self {
        case .size: .size
        case .rotational, .removable: .flag
        default: .text
        }
    }

    /// What the disk has to say of it, in as many spellings as are in use; empty when nothing is known.
    func texts(of disk: Disk) -> [String] {
        let udev = disk.subject.node.properties
        let found: [String?] =
            switch self {
            case .name: [disk.path, disk.subject.node.path, disk.subject.node.name]
            case .model: [disk.model]
            case .vendor: [disk.vendor]
            case .serial: [disk.serial]
            case .wwn: [disk.wwn, udev["ID_WWN"], udev["ID_WWN_WITH_EXTENSION"]]
            case .wwnWithExtension: [udev["ID_WWN_WITH_EXTENSION"]]
            case .wwnVendorExtension: [udev["ID_WWN_VENDOR_EXTENSION"]]
            case .hctl: [Self.scsiAddress(disk.subject.node.sysfsPath)]
            case .transport: [disk.transport.rawValue]
            // A slot is a socket; until it is taught a name it goes by its controller and chain of ports.
            case .slot: [disk.port]
            case .byPath: Self.byPath(disk)
            case .size, .rotational, .removable: []
            }
        return found.compactMap { $0 }.filter { !$0.allSatisfy(\.isWhitespace) }
    }

    func flag(of disk: Disk) -> Bool {
        self == .rotational ? disk.rotational : disk.removable
    }

    /// Whole links, and what follows `/dev/disk/by-path/`.
    private static func byPath(_ disk: Disk) -> [String?] {
        let prefix = "/dev/disk/by-path/"
        let links = Set(disk.subject.node.links.filter { $0.hasPrefix(prefix) } + [disk.byPath].compactMap { $0 })
        return links.sorted().flatMap { [$0, String($0.dropFirst(prefix.count))] }
    }

    /// Host, channel, target and unit, `6:0:0:0`, as the SCSI layer names its folder in sysfs.
    private static func scsiAddress(_ path: String) -> String? {
        path.split(separator: "/").last { part in
            let numbers = part.split(separator: ":", omittingEmptySubsequences: false)
            return numbers.count == 4 && numbers.allSatisfy { !$0.isEmpty && $0.allSatisfy(\.isNumber) }
        }.map(String.init)
    }
}
