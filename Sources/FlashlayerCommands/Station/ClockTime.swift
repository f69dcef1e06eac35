// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc

/// A time of the day as people say it, `18:00`.
struct ClockTime: Equatable {
    let hour: Int
    let minute: Int

    init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2,
            parts.allSatisfy({ (1...2).contains($0.count) && $0.allSatisfy("0123456789".contains) }),
            let hour = Int(parts[0]), let minute = Int(parts[1]), hour < 24, minute < 60
        else { return nil }
        (self.hour, self.minute) = (hour, minute)
    }

    /// When it is that time next, by this machine's clock and zone. See mktime(3).
    ///
    /// - Parameter now: seconds since 1970.
    func next(after now: Int64) -> Int64 {
        var time = time_t(now)
        var day = unsafe tm()
        unsafe localtime_r(&time, &day)
        unsafe (day.tm_hour, day.tm_min, day.tm_sec, day.tm_isdst) = (Int32(hour), Int32(minute), 0, -1)
        var found = unsafe mktime(&day)
        if found <= now {
            unsafe day.tm_mday += 1
            unsafe (day.tm_hour, day.tm_min, day.tm_isdst) = (Int32(hour), Int32(minute), -1)
            found = unsafe mktime(&day)
        }
        return Int64(found)
    }
}
