// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

extension LastPartition {
    /// What lies behind it and would become a part of it, without the backups of the table.
    ///
    /// - Parameters:
    ///   - diskSize: of the disk or the image, in bytes.
    ///   - read: is asked for the headers of backups.
    package func trailingRoom(diskSize: UInt64, read: Reader) throws -> [Range<UInt64>] {
        let start = offset + size
        guard start < diskSize else { return [] }
        var rooms = [start..<diskSize]
        guard case .gpt(let gpt) = table else { return rooms }
        // Where the header says, and where it belongs.
        for sector in Set([gpt.alternateSector, diskSize / sectorSize - 1]) {
            let place = sector * sectorSize
            guard place >= start, place + sectorSize <= diskSize else { continue }
            let header = try read(place..<(place + sectorSize))
            guard header.starts(with: GUIDPartitionTable.signature) else { continue }
            let named: UInt64 = header.number(at: 72)
            let isBefore = named < sector && sector - named >= gpt.entrySectors
            let first = (isBefore ? named : sector - min(sector, gpt.entrySectors)) * sectorSize
            for used in [first..<(first + gpt.entrySectors * sectorSize), place..<(place + sectorSize)] {
                rooms = rooms.flatMap { room in
                    [
                        room.lowerBound..<max(room.lowerBound, min(room.upperBound, used.lowerBound)),
                        min(room.upperBound, max(room.lowerBound, used.upperBound))..<room.upperBound,
                    ]
                    .filter { !$0.isEmpty }
                }
            }
        }
        return rooms
    }
}
