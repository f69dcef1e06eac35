// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CUdev
import Glibc

/// Tells that block devices came, went or changed, or that something was mounted or unmounted. See
/// udev_monitor_new_from_netlink(3) and proc_pid_mountinfo(5).
///
/// It says that it is worth looking again, and not what is new: whoever looks sees it. Where neither udevd nor the
/// kernel can be heard, as in some containers, only time passes.
@safe
package final class HotplugMonitor: Sendable {
    // SAFETY: the handles are used by `wait` alone, which one thread at a time calls, and released when nobody can.
    private nonisolated(unsafe) let udev: OpaquePointer?
    private nonisolated(unsafe) let monitor: OpaquePointer?
    private let mounts: Int32

    package init() {
        unsafe udev = unsafe udev_new()
        // udevd tells of a device when it is done with it; without one the kernel does, at once.
        let source = UdevDaemon.isRunning ? "udev" : "kernel"
        var monitor = unsafe udev.flatMap { unsafe udev_monitor_new_from_netlink($0, source) }
        if let heard = unsafe monitor {
            _ = unsafe udev_monitor_filter_add_match_subsystem_devtype(heard, "block", nil)
            if unsafe udev_monitor_enable_receiving(heard) < 0 {
                unsafe udev_monitor_unref(heard)
                unsafe monitor = nil
            }
        }
        unsafe self.monitor = monitor
        mounts = unsafe open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC)
    }

    deinit {
        if let monitor = unsafe monitor { unsafe udev_monitor_unref(monitor) }
        if let udev = unsafe udev { unsafe udev_unref(udev) }
        if mounts >= 0 { close(mounts) }
    }

    /// Blocks until something happened, and then until nothing has for a moment: a stick with partitions is many events.
    ///
    /// - Parameters:
    ///   - limit: how long at most.
    ///   - reader: a descriptor that is written to; when nobody reads it any more, waiting ends as well.
    package func wait(upTo limit: Duration, reader: Int32? = nil) -> Event {
        var event = poll(limit, reader)
        guard event == .changed else { return event }
        // A device that never comes to rest is looked at all the same.
        let end = ContinuousClock.now + .seconds(2)
        while ContinuousClock.now < end {
            event = poll(.milliseconds(150), reader)
            if event == .abandoned { return event }
            if event == .nothing { break }
        }
        return .changed
    }

    package enum Event: Sendable {
        case changed
        /// The time is over.
        case nothing
        /// Nobody reads what is written.
        case abandoned
    }

    private func poll(_ limit: Duration, _ reader: Int32?) -> Event {
        let milliseconds = limit.components.seconds * 1000 + limit.components.attoseconds / 1_000_000_000_000_000
        let heard = unsafe monitor.map { unsafe udev_monitor_get_fd($0) } ?? -1
        // A negative descriptor is left out of account; errors are always reported.
        var entries = [
            pollfd(fd: heard, events: Int16(POLLIN), revents: 0),
            pollfd(fd: mounts, events: Int16(POLLPRI), revents: 0),
            pollfd(fd: reader ?? -1, events: 0, revents: 0),
        ]
        let count = unsafe Glibc.poll(&entries, nfds_t(entries.count), Int32(max(0, milliseconds)))
        guard count > 0 else { return .nothing }
        if entries[2].revents & Int16(POLLERR | POLLHUP | POLLNVAL) != 0 { return .abandoned }
        if entries[0].revents != 0 { drain() }
        return .changed
    }

    private func drain() {
        guard let monitor = unsafe monitor else { return }
        // The socket does not block: nil means that it is empty.
        while let device = unsafe udev_monitor_receive_device(monitor) { unsafe udev_device_unref(device) }
    }
}
