// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import Threads

/// One reader's end of a reading pass: takes the pieces in order, at its own pace.
package final class Feed: Sendable {
    package enum Item: Sendable {
        case piece(ImagePiece)
        /// Everything was handed out; the ends of the image are known now.
        case end(ImageEnds, imageSize: UInt64)
        /// It fell behind so far that the others would have to wait: it goes on in another pass, from this chunk on.
        case detached(from: Int)
        /// Nothing in the time that the caller gave it.
        case nothingYet
    }

    enum Ending: Sendable {
        case done(ImageEnds, imageSize: UInt64)
        case failed(any Error)
        case detached(from: Int)
    }

    private struct State {
        var pieces: [ImagePiece] = []
        var ending: Ending?
        var isClosed = false
        /// Somebody asked for a piece, and there was none.
        var isHungry = false
        /// The chunk behind the last one that was handed out.
        var next: Int
    }

    /// Pieces before this chunk are not wanted.
    let start: Int
    let isWaitedFor: Bool
    /// It looks into what it takes, instead of only handing it to the kernel.
    let looksInside: Bool
    private let state: Monitor<State>

    init(start: Int, isWaitedFor: Bool, looksInside: Bool) {
        self.start = start
        self.isWaitedFor = isWaitedFor
        self.looksInside = looksInside
        state = Monitor(State(next: start))
    }

    /// - Throws: what the source threw.
    package func take(upTo limit: Duration) throws -> Item {
        let item = state.wait(upTo: limit) { state -> Result<Item, any Error>? in
            if !state.pieces.isEmpty {
                let piece = state.pieces.removeFirst()
                state.next = piece.chunks.upperBound
                state.isHungry = false
                return .success(.piece(piece))
            }
            switch state.ending {
            case nil:
                state.isHungry = true
                return nil
            case .done(let ends, let size): return .success(.end(ends, imageSize: size))
            case .detached(let index): return .success(.detached(from: index))
            case .failed(let error): return .failure(error)
            }
        }
        return try item?.get() ?? .nothingYet
    }

    /// Whoever took from it has what it wants, or gave up.
    package func close() {
        state.update { state in
            state.isClosed = true
            state.pieces = []
        }
    }

    // MARK: - The pass's side

    var isOpen: Bool { state.update { !$0.isClosed && $0.ending == nil } }

    /// How many pieces wait here.
    var backlog: Int { state.update { $0.pieces.count } }

    /// Whether somebody asked for a piece, and there was none.
    var isHungry: Bool { state.update { !$0.isClosed && $0.ending == nil && $0.isHungry } }

    func put(_ piece: ImagePiece) {
        state.update { state in
            guard !state.isClosed, state.ending == nil, piece.chunks.upperBound > start else { return }
            state.pieces.append(piece)
            state.isHungry = false
        }
    }

    func end(_ ending: Ending) {
        state.update { state in
            guard state.ending == nil else { return }
            state.ending = ending
            if case .failed = ending { state.pieces = [] }
        }
    }

    /// Takes back what was not taken yet: it will come again in another pass.
    func detach() {
        state.update { state in
            guard state.ending == nil else { return }
            state.pieces = []
            state.ending = .detached(from: state.next)
        }
    }
}
