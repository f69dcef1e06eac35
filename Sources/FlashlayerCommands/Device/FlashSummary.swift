// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Flashing
import Model

/// What happened to one target that is as it should be, in sentences.
struct FlashSummary {
    let job: FlashJob
    let image: ImageFacts
    let result: FlashResult
    let path: String
    /// It has a few lines; one of many has one.
    let isAlone: Bool

    func lines(_ console: Console) -> [String] {
        guard result.result == .pass || result.result == .unchanged else { return [] }
        let digest = result.imageDigest.map { ", \($0)" } ?? ""
        let last = console.style("\(path) \(verdict)", .green) + proof + digest
        guard !isAlone else { return steps.map { "\($0.padding(to: 9)) \($1)" } + [last] }
        return [console.style("\(path) \(verdict)", .green) + steps.map { ", \($0) \($1)" }.joined() + digest]
    }

    private var verdict: String {
        if path == ChosenTarget.nullName { return "took the image" }
        switch (job.mode, result.result) {
        case (.verify, _): return image.format == "bmap" ? "holds what \(image.path) lists" : "holds \(image.path)"
        case (.write, .unchanged): return "held the image already"
        case (.write, _):
            return job.holes == .skip ? "holds the image's data, and its own where that has holes" : "holds the image"
        }
    }

    private var proof: String {
        guard job.mode == .write, path != ChosenTarget.nullName else { return "" }
        return job.verifies ? ", every byte read back" : "; not verified"
    }

    private var steps: [(String, String)] {
        var steps: [(String, String)] = []
        if result.writeSeconds > 0, result.result == .pass, job.mode == .write {
            steps.append(("written", amount(result.bytesWritten, result.writeSeconds)))
        }
        if result.bytesVerified > 0 { steps.append(("verified", amount(result.bytesVerified, result.verifySeconds))) }
        if result.chunksRepaired > 0 {
            let chunks = result.chunksRepaired == 1 ? "1 chunk" : "\(result.chunksRepaired) chunks"
            steps.append(("repaired", "\(chunks) of 4 MiB"))
        }
        if let growth = result.growth {
            let size = ByteSize.describe(growth.to)
            steps.append(("grown", "\(growth.fileSystem) on partition \(growth.partition), to \(size)"))
        }
        return steps
    }

    private func duration(_ seconds: Double) -> String {
        let tenths = Int(seconds * 10)
        return seconds < 1 ? "\(Int(seconds * 1000)) ms" : "\(tenths / 10).\(tenths % 10) s"
    }

    private func amount(_ bytes: UInt64, _ seconds: Double) -> String {
        let rate = ProgressLine.describe(rate: Double(bytes) / max(0.001, seconds))
        return "\(ByteSize.describe(bytes)) in \(duration(seconds)), \(rate)"
    }
}
