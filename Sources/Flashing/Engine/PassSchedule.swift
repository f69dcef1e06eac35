// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import DiskImages
import Model
import Threads

/// Decides which reading of the image a target takes part in. All that are ready in time share the first one; those
/// that come late or fall behind share a later one.
final class PassSchedule: Sendable {
    private struct State {
        /// Targets that may still become ready for the first pass.
        var expected: Int
        var first: ReadingPass?
        var hasBegun = false
        var hasEnded = false
        var firstReady: ContinuousClock.Instant?
        /// The pass of those that fell behind, while it runs.
        var later: ReadingPass?
        /// Where those that wait for a later pass want it to start.
        var waiting: [Int] = []
    }

    private let image: JobImage
    /// How long the first ones wait for the others.
    private let patience: Duration
    /// How long those that fell behind wait for the end of the first pass. What is unpacked has a dictionary of up to
    /// 128 MiB in each pass; but a target that hangs may keep the first one from ending.
    private let firstPatience: Duration
    private let laterPool = ChunkPool(chunks: 4)
    private let state: Monitor<State>

    /// - Parameter timeout: how long a device may take to answer, in seconds. A stream that cannot be read again waits so
    ///   long for everybody, and then leaves out whoever is stuck.
    init(_ image: JobImage, targets: Int, timeout: Int) {
        self.image = image
        firstPatience = image.seekable == nil ? .seconds(10) : .zero
        patience = image.isRepeatable ? .seconds(5) : .seconds(timeout + 5)
        state = Monitor(State(expected: targets))
    }

    /// Takes part in the first pass, which begins when everybody is there; who comes too late gets the next one.
    ///
    /// - Parameters:
    ///   - looksInside: see `ReadingPass.join`.
    ///   - whileWaiting: is called now and then.
    func firstFeed(looksInside: Bool = true, whileWaiting: () throws -> Void) throws -> Feed {
        let mine = state.update { state -> Feed? in
            state.expected -= 1
            if state.first == nil { state.first = self.pass(from: 0, pool: self.image.readPool) }
            state.firstReady = state.firstReady ?? .now
            return state.hasBegun ? nil : state.first?.join(looksInside: looksInside)
        }
        guard let mine else {
            return try laterFeed(from: 0, looksInside: looksInside, whileWaiting: whileWaiting)
        }
        while true {
            let hasBegun = try state.update { state in
                let waited = state.firstReady.map { ContinuousClock.now - $0 } ?? .zero
                if !state.hasBegun, state.expected == 0 || waited >= self.patience {
                    state.hasBegun = true
                    try state.first?.begin(hashingInto: self.image.digests) { [weak self] in
                        self?.state.update { $0.hasEnded = true }
                    }
                }
                return state.hasBegun
            }
            if hasBegun { return mine }
            try whileWaiting()
            _ = state.wait(upTo: .milliseconds(50)) { $0.expected == 0 || $0.hasBegun ? () : nil }
        }
    }

    /// A feed that takes part in the first pass without being a target. It must be asked for before the first target is
    /// ready.
    func observer() -> Feed? {
        state.update { state in
            if state.first == nil { state.first = self.pass(from: 0, pool: self.image.readPool) }
            return state.first?.join(isWaitedFor: true)
        }
    }

    /// A target that ended before it was ready is not waited for.
    func leave() {
        state.update { $0.expected -= 1 }
    }

    /// Goes on from a chunk in a pass that has not reached it yet, or in a new one.
    func laterFeed(from index: Int, looksInside: Bool = true, whileWaiting: () throws -> Void) throws -> Feed {
        guard image.isRepeatable else {
            throw FlashlayerError(.tooSlow, "the image is a stream, and the target was not ready when it began")
        }
        state.update { $0.waiting.append(index) }
        defer {
            state.update { state in
                if let mine = state.waiting.firstIndex(of: index) { state.waiting.remove(at: mine) }
            }
        }
        let start = ContinuousClock.now
        while true {
            let feed = try state.update { state -> Feed? in
                if let feed = state.later?.join(from: index, looksInside: looksInside) { return feed }
                // One at a time: that bounds the memory. The next one starts where the last of those who wait is.
                let isFirstOver = state.hasEnded || ContinuousClock.now - start > self.firstPatience
                guard state.later == nil, isFirstOver else { return nil }
                let start = state.waiting.min() ?? index
                let pass = self.pass(from: start, pool: self.laterPool)
                let feed = pass.join(from: index, looksInside: looksInside)
                state.later = pass
                try pass.begin(hashingInto: self.image.digests) { [weak self] in self?.state.update { $0.later = nil } }
                return feed
            }
            if let feed { return feed }
            try whileWaiting()
            _ = state.wait(upTo: .milliseconds(50)) { $0.later == nil && $0.hasEnded ? () : nil }
        }
    }

    private func pass(from start: Int, pool: ChunkPool) -> ReadingPass {
        var settings = ReadingPass.Settings()
        settings.start = start
        // A stream that has to be unpacked again is not given up for a stick that takes a breath.
        if image.seekable == nil { settings.patience = .seconds(10) }
        return ReadingPass(image.source, pool: pool, settings: settings)
    }
}
