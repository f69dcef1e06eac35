// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

// Media come and go.
extension StationPolicy {
    mutating func see(_ medium: Medium) -> [StationCommand] {
        // A card reader without a card, or a detached disk of which udev says `change`.
        guard medium.size > 0 else { return leave(medium.sysfsPath) }
        if let (index, place) = place(of: medium.sysfsPath) {
            let known = tracks[index].media[place].medium
            guard known.diskSequence != medium.diskSequence else { return again(index, place, medium) }
            // Another card in the same reader: the old one was pulled, whether that was told or not.
            return leave(medium.sysfsPath) + appear(medium, isOld: false)
        }
        // One that was taken for a stranger does not become an arrival by saying something else of itself.
        let known = strangers.removeValue(forKey: medium.sysfsPath)
        return appear(medium, isOld: known.map { $0.diskSequence == medium.diskSequence } ?? false)
    }

    /// Events were lost, or may have been: what is not in sysfs has gone.
    mutating func compare(with media: [Medium]) -> [StationCommand] {
        let paths = Set(media.lazy.filter { $0.size > 0 }.map(\.sysfsPath))
        let known = tracks.flatMap { $0.media.map(\.medium.sysfsPath) } + strangers.keys.sorted()
        var commands = known.filter { !paths.contains($0) }.flatMap { leave($0) }
        for medium in media { commands += see(medium) }
        return commands
    }

    private func place(of sysfsPath: String) -> (index: Int, place: Int)? {
        for index in tracks.indices {
            if let place = tracks[index].index(of: sysfsPath) { return (index, place) }
        }
        return nil
    }

    /// The same medium once more: a replayed event, or a lie.
    private mutating func again(_ index: Int, _ place: Int, _ medium: Medium) -> [StationCommand] {
        let known = tracks[index].media[place].medium
        guard known.contradicts(medium) else { return [] }
        let verdict = SlotTrack.Verdict.failed(.changed, "it says something else of itself than when it was plugged in")
        if let job = tracks[index].job, job.medium == known {
            tracks[index].job?.fault = verdict
            return cancelJob(index)
        }
        tracks[index].media[place].isSettled = true
        tracks[index].media[place].verdict = .refused(.changed, "it says something else of itself than before")
        return []
    }

    /// - Parameter isOld: it was there before the station was.
    mutating func appear(_ medium: Medium, isOld: Bool) -> [StationCommand] {
        let commands = noteDuplicate(medium)
        guard let port = medium.port, let slot = map.slot(at: port),
            let index = tracks.firstIndex(where: { $0.slot.name == slot.name })
        else {
            strangers[medium.sysfsPath] = medium
            return commands
        }
        let isNew = !isOld && isArrival(medium, at: index)
        tracks[index].media.append(.init(medium: medium, isSettled: !isNew))
        tracks[index].highestSequence = max(tracks[index].highestSequence, medium.diskSequence ?? 0)
        tracks[index].aftermath = nil
        guard isNew, let speed = medium.linkSpeed, let taught = slot.speed, speed < taught else { return commands }
        return commands + [.notify(.slowLink(slot: slot.name, is: speed, taught: taught))]
    }

    /// A number that nobody has, above all that this slot has seen and all that the arming has.
    private func isArrival(_ medium: Medium, at index: Int) -> Bool {
        guard let arming, arming.slots.contains(tracks[index].slot.name), let sequence = medium.diskSequence,
            sequence > arming.highestSequence, sequence > tracks[index].highestSequence
        else { return false }
        let others = tracks.flatMap { $0.media.map(\.medium) } + strangers.values
        return !others.contains { $0.diskSequence == sequence }
    }

    private mutating func noteDuplicate(_ medium: Medium) -> [StationCommand] {
        guard let identity = medium.identity, !isDuplicate(identity) else { return [] }
        let others = tracks.flatMap { $0.media.map(\.medium) } + strangers.values
        // One stick that is moved is there once: its old place is known to be empty by then, or it counts as two.
        guard others.contains(where: { $0.identity == identity }) else { return [] }
        // The history has those before, by now.
        duplicates = duplicates.filter { !history.isDuplicate($0) }
        duplicates.insert(identity)
        return [.record(.duplicate(identity)), .notify(.duplicateSerial(identity))]
    }

    func isDuplicate(_ identity: MediumIdentity) -> Bool {
        duplicates.contains(identity) || history.isDuplicate(identity)
    }

    mutating func leave(_ sysfsPath: String) -> [StationCommand] {
        strangers[sysfsPath] = nil
        guard let (index, place) = place(of: sysfsPath) else { return [] }
        let gone = tracks[index].media.remove(at: place)
        guard let job = tracks[index].job, job.medium == gone.medium else { return [] }
        tracks[index].job?.fault = .failed(.deviceGone, "it was pulled before it was done")
        return cancelJob(index)
    }
}
