// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import FoundationEssentials
import Glibc
import Model
import Programs
package import ServiceManager
package import Station
import StationProtocol
import Threads

/// The imaging station as a service: it watches the devices, serves its socket, and tells the service manager that it is
/// alive, until it is told to end.
package struct StationDaemon: Sendable {
    /// How long jobs have to end when the service does; less than the unit's TimeoutStopSec=.
    private static let lastWords = Duration.seconds(20)
    /// How often it is looked without a word from the kernel, which may have been missed.
    private static let roundTime = Duration.seconds(10)

    package var map: SlotMap
    package var station: String?
    /// Of the control socket.
    package var socket: String
    /// Of the control socket: who may arm.
    package var mode: UInt32 = 0o660
    package var hands: any StationHands = EngineHands()
    package var archive: any StationArchive = VolatileArchive()
    package var journal = Journal(identifier: "flashlayerd")
    package var census: @Sendable () throws -> MediaCensus = { try MediaCensus.take() }

    package init(map: SlotMap, socket: String) {
        self.map = map
        self.socket = socket
    }

    /// Serves until its task is cancelled, and then until all jobs have ended.
    ///
    /// - Throws: `busy` when another station has the socket; `cannot-create`; `unavailable`.
    package func run() async throws {
        let environment = ProcessInfo.processInfo.environment
        let notifier = ServiceNotifier(environment: environment)
        // Before the first look: what comes meanwhile is heard of.
        let monitor = HotplugMonitor()
        let first = try await take()
        let conductor = Conductor(
            station: station,
            map: map,
            present: first.media,
            hands: hands,
            archive: archive,
            journal: journal,
            clock: { Date().timeIntervalSince1970 }
        )
        let service = ControlService(conductor: conductor) { try await take() }
        let server = try UnixServer(path: socket, mode: mode) { service.serve($0) }
        defer { server.stop() }
        notifier.ready("\(map.slots.count) slots, disarmed")
        journal.write(.info, "serving \(map.slots.count) slots, disarmed")
        await withTaskGroup { group in
            group.addTask { await watch(monitor, conductor) }
            group.addTask { await beat(conductor, notifier, Watchdog(environment: environment)) }
        }
        notifier.stopping("ending the jobs")
        journal.write(.info, "ending")
        await conductor.stop(upTo: Self.lastWords) {
            notifier.alive()
            notifier.extendStop(by: .seconds(5))
        }
    }

    /// On a thread of its own: a device that hangs may keep it.
    private func take() async throws -> MediaCensus {
        try await onAbandonableThread(named: "census") { [census] in try census() }
    }

    /// Looks at what is there whenever something came or went, and now and then without a word from the kernel.
    private func watch(_ monitor: HotplugMonitor, _ conductor: Conductor) async {
        var last = ContinuousClock.now
        while !Task.isCancelled {
            do {
                let event = try await onAbandonableThread(named: "hotplug") { monitor.wait(upTo: .seconds(2)) }
                guard event == .changed || ContinuousClock.now - last > Self.roundTime else { continue }
                last = ContinuousClock.now
                await conductor.hear(.enumerated(try await take().media))
            } catch is CancellationError {
                return
            } catch {
                journal.write(.error, "the devices cannot be listed: \(FlashlayerError(wrapping: error).message)")
                try? await Task.sleep(for: .seconds(2))
            }
        }
    }

    /// The conductor answers each of these: silence means that it hangs.
    private func beat(_ conductor: Conductor, _ notifier: ServiceNotifier, _ watchdog: Watchdog?) async {
        let pause = min(watchdog?.interval ?? .seconds(1), .seconds(1))
        var said = ""
        while !Task.isCancelled {
            await conductor.tick()
            notifier.alive()
            let status = conductor.bulletin.latest.status
            let busy = status.slots.count { [.writing, .verifying, .probing].contains($0.state) }
            let line =
                status.arming.map { "armed with \($0.imageName), \($0.passed) passed, \(busy) at work" } ?? "disarmed"
            if line != said { notifier.status(line) }
            said = line
            try? await Task.sleep(for: pause)
        }
    }
}
