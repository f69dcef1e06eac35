// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// The one error that crosses a room's edge: what happened, why, and what to do next.
///
/// `code` decides the exit status; `message` is one sentence that names the file, device or program; `advice` is a
/// sentence or command that helps; `offset` is a byte position on the target or in the image where there is one.
package struct FlashlayerError: Error, Codable, Sendable, Equatable {
    package let code: ErrorCode
    package let message: String
    package let advice: String?
    package let offset: UInt64?

    package init(_ code: ErrorCode, _ message: String, advice: String? = nil, offset: UInt64? = nil) {
        self.code = code
        self.message = message
        self.advice = advice
        self.offset = offset
    }
}

extension FlashlayerError: CustomStringConvertible {
    package var description: String { advice.map { "\(message)\n  \($0)" } ?? message }
}

extension FlashlayerError {
    /// Any error as one of ours: what is not is a fault of the program.
    package init(wrapping error: any Error) {
        switch error {
        case let error as FlashlayerError: self = error
        case is CancellationError: self.init(.interrupted, "interrupted")
        default: self.init(.fault, "unexpected failure: \(error)")
        }
    }
}
