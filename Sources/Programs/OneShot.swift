// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Synchronization

/// A value that is set once; later attempts are ignored.
package final class OneShot<Value: Sendable>: Sendable {
    private enum State {
        case empty
        case waiting(CheckedContinuation<Value, Never>)
        case set(Value)
    }

    private let state = Mutex(State.empty)

    package init() {}

    package func set(_ value: Value) {
        let waiting = state.withLock { state -> CheckedContinuation<Value, Never>? in
            switch state {
            case .set: return nil
            case .empty:
                state = .set(value)
                return nil
            case .waiting(let continuation):
                state = .set(value)
                return continuation
            }
        }
        waiting?.resume(returning: value)
    }

    /// nil until it is set.
    package var current: Value? {
        state.withLock { state in
            if case .set(let value) = state { value } else { nil }
        }
    }

    /// Waits for it. One caller only.
    package var value: Value {
        get async {
            await withCheckedContinuation { continuation in
                let present = state.withLock { state -> Value? in
                    if case .set(let value) = state { return value }
                    state = .waiting(continuation)
                    return nil
                }
                if let present { continuation.resume(returning: present) }
            }
        }
    }
}
