// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Layers
import Model
import Resolution

/// What the guest's own package managers are asked for: Red Hat packages and wheels. Where they are free to choose, they
/// say what it came to, and the next build asks for the same again.
struct GuestSelection: Sendable, Equatable {
    /// What one of them is asked.
    private struct Question: Sendable, Equatable {
        /// What decides what is chosen.
        let request: [Ingredient]
        /// Exactly these; nil: what the guest's package sources have today.
        var answer: [LockedPackage]?
        /// Why there is no answer, for a person.
        var doubt: String?

        init(_ request: [Ingredient], locked: BuildLock.Selection?) {
            self.request = request
            if let drift = locked.map({ $0.drift(from: request) }) ?? "nothing is locked yet" {
                doubt = drift
            } else {
                answer = locked?.packages
            }
        }
    }

    private var redHat: Question?
    private var python: Question?
    private let isOffline: Bool
    /// Nobody remembers an answer: the result is known by what was asked, not by what came of it.
    private let isForgotten: Bool

    init(_ project: ResolvedProject, _ base: BaseEntry) throws {
        try self.init(project, guest: base.facts, baseIdentity: base.identity(of: project.plan.base))
    }

    /// - Parameter baseIdentity: names what is installed in the guest already, on any machine.
    init(_ project: ResolvedProject, guest: GuestFacts, baseIdentity: String) throws {
        let plan = project.plan
        let lock = project.lockUse == .renew ? nil : project.lock?.build
        isOffline = project.isOffline
        isForgotten = project.lock == nil
        let common = [Ingredient("the base", baseIdentity)] + (try plan.earlyIngredients)
        let needed = plan.redHatPackagesOfPip
        if guest.packageFormat == "rpm", !plan.redHatPackages.isEmpty || !needed.isEmpty {
            var request = common + (plan.redHatPackages + needed).map { Ingredient("package \($0)", "rpm") }
            if let recommends = plan.recommends {
                request.append(Ingredient("packages.recommends", "\(recommends)"))
            }
            redHat = Question(request, locked: lock?.packages)
        }
        if !plan.pythonPackages.isEmpty {
            let request = plan.pythonPackages.map { Ingredient("Python package \($0)", "pip") }
            python = Question(common + request, locked: lock?.python)
        }
    }

    /// Whether the guest's own package managers have anything to do.
    var isNeeded: Bool { redHat != nil || python != nil }

    /// Whether they are free to choose, and somebody wants to know what.
    var isOpen: Bool { doubt != nil }

    /// Why what they would install is not known before a build, for a person.
    var doubt: String? {
        guard !isForgotten else { return nil }
        return [redHat, python].compactMap { $0?.doubt }.first
    }

    /// - Throws: `lock-drift` when all should be locked, and is not.
    func confirm(_ lockUse: LockUse) throws {
        guard lockUse == .require, let doubt else { return }
        throw LockFile.packagesDrift(doubt)
    }

    /// What goes into the key of the packages phase.
    var ingredients: [Ingredient] {
        guard !isForgotten else { return [] }
        return [redHat, python].compactMap { $0 }.flatMap { question in
            question.answer?.map(\.ingredient) ?? [Ingredient("the versions of packages", "not chosen yet")]
        }
    }

    /// Sets what is known, and forgets what no longer holds.
    func write(into lock: inout LockFile?) {
        func selection(_ question: Question) -> BuildLock.Selection? {
            question.answer.map { BuildLock.Selection(request: question.request, packages: $0) }
        }
        // Debian packages stand in the same place, and are chosen elsewhere.
        if let redHat { lock?.build.packages = selection(redHat) }
        lock?.build.python = python.flatMap(selection)
    }

    /// - Throws: `unavailable` when the guest's package manager is none that is known.
    func install(_ plan: Plan, for guest: GuestFacts) throws -> [GuestStep] {
        var steps: [GuestStep] = []
        if guest.packageFormat == "rpm" {
            let needed = plan.redHatPackagesOfPip
            let requests = plan.redHatRequests
            guard RpmSteps.managers.contains(guest.packageManager) || requests.isEmpty && needed.isEmpty else {
                throw FlashlayerError(
                    .unavailable,
                    "packages of \(guest.product) are installed by \(guest.packageManager), which is not known here",
                    advice: "install them in a script of a layer"
                )
            }
            steps += RpmSteps.install(
                requests,
                needed: needed,
                manager: guest.packageManager,
                recommends: plan.recommends,
                locked: redHat?.answer?.map(\.guestLine),
                isOffline: isOffline
            )
        }
        if !plan.pythonPackages.isEmpty {
            steps += PipSteps.install(
                plan.pythonPackages,
                python: plan.image.python,
                name: plan.name,
                hostCertificates: Self.hostCertificates,
                locked: python?.answer?.map(\.guestLine),
                isOffline: isOffline
            )
        }
        return steps
    }

    private static var hostCertificates: String? {
        let path = "/etc/ssl/certs/ca-certificates.crt"
        return FileManager.default.fileExists(atPath: path) ? path : nil
    }

    // MARK: - What it came to

    private static let redHatFile = "rpms.resolved"
    private static let wheelFile = "wheels.resolved"

    /// Brings what was chosen to a folder on this machine.
    func steps(bringingTo folder: String) -> [GuestStep] {
        var steps: [GuestStep] = []
        if redHat != nil { steps.append(.download(RpmSteps.resolved, hostPath: "\(folder)/\(Self.redHatFile)")) }
        if python != nil { steps.append(.download(PipSteps.resolved, hostPath: "\(folder)/\(Self.wheelFile)")) }
        return steps
    }

    /// The same with all questions answered, by what a build left in that folder.
    func answered(from folder: String) throws -> GuestSelection {
        var selection = self
        selection.redHat?.answer = try Self.packages("\(folder)/\(Self.redHatFile)")
        selection.redHat?.doubt = nil
        selection.python?.answer = try Self.packages("\(folder)/\(Self.wheelFile)")
        selection.python?.doubt = nil
        return selection
    }

    private static func packages(_ path: String) throws -> [LockedPackage] {
        guard let data = FileManager.default.contents(atPath: path) else {
            let message = "what the guest's package manager chose did not arrive in \(path)"
            throw FlashlayerError(.fault, message)
        }
        let lines = String(decoding: data, as: UTF8.self).split(separator: "\n")
        return try lines.map { line in
            guard let package = LockedPackage(guestLine: line) else {
                throw FlashlayerError(.fault, "the guest named a package in a way that is not understood: \(line)")
            }
            return package
        }.sorted { ($0.name, $0.architecture, $0.version) < ($1.name, $1.architecture, $1.version) }
    }
}

extension LockedPackage {
    /// As the steps write and read it; see `RpmSteps.resolved`.
    var guestLine: String { [name, version, architecture, sha256, file].joined(separator: "\t") }

    init?(guestLine: Substring) {
        let fields = guestLine.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
        // None has a blank or is empty: the lock holds them so.
        guard fields.count == 5, fields.allSatisfy({ !$0.isEmpty && !$0.contains(" ") }), fields[3].utf8.count == 64
        else { return nil }
        self.init(name: fields[0], version: fields[1], architecture: fields[2], sha256: fields[3], file: fields[4])
    }
}
