// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc

/// A value behind a lock, with a condition that threads can wait on. See pthread_cond_wait(3).
///
/// `Synchronization.Mutex` has no condition; this is the smallest thing that does.
@safe
package final class Monitor<State>: @unchecked Sendable {
    // SAFETY: every access to `state` happens between lock and unlock; the two objects live at fixed addresses until
    // `deinit`, which runs when no thread can hold a reference any more.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var state: State

    package init(_ state: sending State) {
        unsafe mutex = .allocate(capacity: 1)
        unsafe condition = .allocate(capacity: 1)
        unsafe pthread_mutex_init(mutex, nil)
        // Time limits are counted on a clock that nobody sets.
        var attributes = pthread_condattr_t()
        unsafe pthread_condattr_init(&attributes)
        unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        unsafe pthread_cond_init(condition, &attributes)
        unsafe pthread_condattr_destroy(&attributes)
        self.state = state
    }

    deinit {
        unsafe pthread_cond_destroy(condition)
        unsafe pthread_mutex_destroy(mutex)
        unsafe condition.deallocate()
        unsafe mutex.deallocate()
    }

    /// Changes the state and wakes everybody who waits.
    package func update<Result>(_ body: (inout State) throws -> Result) rethrows -> Result {
        unsafe pthread_mutex_lock(mutex)
        defer {
            unsafe pthread_cond_broadcast(condition)
            unsafe pthread_mutex_unlock(mutex)
        }
        return try body(&state)
    }

    /// Blocks until `body` gives a result; it is asked again after each update.
    package func wait<Result>(for body: (inout State) -> Result?) -> Result {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        while true {
            if let result = body(&state) {
                unsafe pthread_cond_broadcast(condition)
                return result
            }
            unsafe pthread_cond_wait(condition, mutex)
        }
    }

    /// Like `wait`, but not for ever.
    ///
    /// - Returns: nil when `body` gave nothing in time.
    package func wait<Result>(upTo limit: Duration, for body: (inout State) -> Result?) -> Result? {
        let deadline = Self.now + limit
        let end = timespec(
            tv_sec: Int(deadline.components.seconds),
            tv_nsec: Int(deadline.components.attoseconds / 1_000_000_000)
        )
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        while true {
            if let result = body(&state) {
                unsafe pthread_cond_broadcast(condition)
                return result
            }
            let code = unsafe withUnsafePointer(to: end) { unsafe pthread_cond_timedwait(condition, mutex, $0) }
            if code == ETIMEDOUT { return body(&state) }
        }
    }

    /// Since some moment in the past, as CLOCK_MONOTONIC counts.
    private static var now: Duration {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }
}

/// Opens once; whoever waits for it goes on.
package final class Gate: Sendable {
    private let isOpen = Monitor(false)

    package init() {}

    package func open() {
        isOpen.update { $0 = true }
    }

    package func wait() {
        isOpen.wait { $0 ? () : nil }
    }
}

/// A bounded queue between threads. Closing it is how either side says that it is done: nobody stays blocked.
package final class Mailbox<Element: Sendable>: Sendable {
    private struct State {
        var elements: [Element] = []
        var closed = false
    }

    private let capacity: Int
    private let state = Monitor(State())

    package init(capacity: Int) {
        self.capacity = capacity
    }

    /// Blocks while the queue is full.
    ///
    /// - Returns: false when the queue was closed, and the element was not taken.
    @discardableResult
    package func put(_ element: Element) -> Bool {
        state.wait { state in
            if state.closed { return false }
            guard state.elements.count < capacity else { return nil }
            state.elements.append(element)
            return true
        }
    }

    /// Blocks while the queue is empty.
    ///
    /// - Returns: nil when the queue is closed and empty.
    package func take() -> Element? {
        state.wait { state -> Element?? in
            if !state.elements.isEmpty { return .some(state.elements.removeFirst()) }
            return state.closed ? .some(nil) : nil
        }
    }

    /// Blocks while the queue is empty, but not for ever.
    ///
    /// - Returns: nil when nothing came in time, or the queue is closed and empty.
    package func take(upTo limit: Duration) -> Element? {
        state.wait(upTo: limit) { state -> Element?? in
            if !state.elements.isEmpty { return .some(state.elements.removeFirst()) }
            return state.closed ? .some(nil) : nil
        } ?? nil
    }

    /// The next element if there is one now.
    package func takeIfPresent() -> Element? {
        state.update { $0.elements.isEmpty ? nil : $0.elements.removeFirst() }
    }

    package func close() {
        state.update { $0.closed = true }
    }
}
