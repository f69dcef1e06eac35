// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CGuestfs
import Glibc
import Layers
import Model

/// Owns a libguestfs handle: a small virtual machine that has the guest's disks, and an API into it. See guestfs(3).
///
/// Calls block, and are made by one thread at a time.
@safe
final class GuestfsHandle {
    private let handle: OpaquePointer
    /// Kept alive as long as the library may call it.
    private var console: ConsoleListener?

    init() throws {
        guard let handle = unsafe guestfs_create() else {
            throw FlashlayerError.system("make a libguestfs handle", .current, code: .unavailable)
        }
        unsafe self.handle = handle
        // Errors are asked for after each call; without this they would go to standard error as well.
        unsafe guestfs_set_error_handler(handle, nil, nil)
    }

    deinit {
        // Before the listener goes: closing still makes events.
        unsafe guestfs_close(handle)
    }

    /// An API call failed: the library's own words.
    struct Failure: Error {
        let message: String
        let errno: Int32
    }

    private var lastFailure: Failure {
        // SAFETY: the string belongs to the handle and is copied before the next call.
        let text = unsafe guestfs_last_error(handle).map { unsafe String(cString: $0) } ?? "unknown error"
        return Failure(message: text, errno: unsafe guestfs_last_errno(handle))
    }

    /// For calls that return 0 or -1.
    func check(_ call: (OpaquePointer) -> Int32) throws {
        // SAFETY: the handle is open until deinit.
        guard unsafe call(handle) == 0 else { throw lastFailure }
    }

    /// For questions that are answered by 0 or 1.
    func ask(_ call: (OpaquePointer) -> Int32) throws -> Bool {
        let answer = unsafe call(handle)
        guard answer >= 0 else { throw lastFailure }
        return answer != 0
    }

    /// Whether the appliance has one of the features of "AVAILABILITY" in guestfs(3).
    func has(_ feature: String) throws -> Bool {
        try unsafe Self.withVector([feature]) { features in
            try unsafe ask { unsafe guestfs_feature_available($0, features) }
        }
    }

    func number(_ call: (OpaquePointer) -> Int64) throws -> Int64 {
        let answer = unsafe call(handle)
        guard answer >= 0 else { throw lastFailure }
        return answer
    }

    /// For calls that return a structure, which the caller frees; nil when the call failed.
    func pointer<Structure>(
        _ call: (OpaquePointer) -> UnsafeMutablePointer<Structure>?
    ) -> UnsafeMutablePointer<Structure>? {
        unsafe call(handle)
    }

    /// For calls that return a structure, which the caller frees.
    func structure<Structure>(
        _ call: (OpaquePointer) -> UnsafeMutablePointer<Structure>?
    ) throws -> UnsafeMutablePointer<Structure> {
        guard let structure = unsafe call(handle) else { throw lastFailure }
        return unsafe structure
    }

    /// For calls that return a string of their own.
    func string(_ call: (OpaquePointer) -> UnsafeMutablePointer<CChar>?) throws -> String {
        guard let text = unsafe call(handle) else { throw lastFailure }
        defer { unsafe free(text) }
        return unsafe String(cString: text)
    }

    /// For calls that return a vector of strings, ended by a null pointer.
    func strings(
        _ call: (OpaquePointer) -> UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
    ) throws -> [String] {
        guard let vector = unsafe call(handle) else { throw lastFailure }
        defer { unsafe free(vector) }
        var texts: [String] = []
        var index = 0
        // SAFETY: the vector ends with a null pointer; each string is ours to free, and so is the vector.
        while let text = unsafe vector[index] {
            texts.append(unsafe String(cString: text))
            unsafe free(text)
            index += 1
        }
        return texts
    }

    /// Calls `body` with a vector of C strings as `char **` parameters want it.
    static func withVector<Result>(
        _ texts: [String],
        _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) throws -> Result
    ) rethrows -> Result {
        try unsafe withVector(texts.map { Array($0.utf8) }, body)
    }

    /// The same for texts that need not be UTF-8; none of them holds a NUL.
    static func withVector<Result>(
        _ texts: [[UInt8]],
        _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) throws -> Result
    ) rethrows -> Result {
        // SAFETY: the copies live until the end of the call, and the vector, which has room for all of them and its
        // end, ends with a null pointer.
        let vector = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: texts.count + 1)
        for (index, text) in texts.enumerated() {
            let bytes = text.map { CChar(bitPattern: $0) } + [0]
            unsafe (vector + index).initialize(to: strdup(bytes))
        }
        unsafe (vector + texts.count).initialize(to: nil)
        defer {
            for index in texts.indices { unsafe free(vector[index]) }
            unsafe vector.deallocate()
        }
        return try unsafe body(vector)
    }
}

// MARK: - Setting up

extension GuestfsHandle {
    func configure(_ job: ApplianceJob, accelerator: Accelerator) throws {
        try unsafe check { unsafe guestfs_set_backend($0, "direct") }
        if accelerator == .tcg { try unsafe check { unsafe guestfs_set_backend_setting($0, "force_tcg", "1") } }
        try unsafe check { unsafe guestfs_set_tmpdir($0, job.temporaryFolder) }
        try unsafe check { unsafe guestfs_set_network($0, job.network ? 1 : 0) }
        try unsafe check { unsafe guestfs_set_memsize($0, Int32(job.memory)) }
        // An emulated processor alone needs no locks against others: installing packages takes a third less time on one.
        let processors = accelerator == .tcg ? 1 : max(1, min(4, sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        try unsafe check { unsafe guestfs_set_smp($0, Int32(processors)) }
        for drive in job.drives { try add(drive) }
    }

    private func add(_ drive: ApplianceJob.Drive) throws {
        // The disk is a file of ours that is thrown away when anything goes wrong: nothing is gained by flushing it
        // while it is built.
        try unsafe drive.format.withCString { format in
            try unsafe "unsafe".withCString { cache in
                try unsafe "besteffort".withCString { discard in
                    var options = unsafe guestfs_add_drive_opts_argv()
                    unsafe options.format = format
                    unsafe options.bitmask = 1 << UInt64(GUESTFS_ADD_DRIVE_OPTS_FORMAT)
                    if drive.readOnly {
                        unsafe options.readonly = 1
                        unsafe options.bitmask |= 1 << UInt64(GUESTFS_ADD_DRIVE_OPTS_READONLY)
                    } else {
                        unsafe options.cachemode = cache
                        unsafe options.discard = discard
                        unsafe options.bitmask |= 1 << UInt64(GUESTFS_ADD_DRIVE_OPTS_CACHEMODE)
                        unsafe options.bitmask |= 1 << UInt64(GUESTFS_ADD_DRIVE_OPTS_DISCARD)
                    }
                    // SAFETY: the strings live until the call returns, and the library copies them.
                    try unsafe check { unsafe guestfs_add_drive_opts_argv($0, drive.path, &options) }
                }
            }
        }
    }

    /// What the appliance's console prints, lines and parts of lines as they come, from now on.
    func listen(_ receive: @escaping (String) -> Void) throws {
        let listener = ConsoleListener(receive)
        console = listener
        let status = unsafe guestfs_set_event_callback(
            handle,
            { _, context, _, _, _, buffer, count, _, _ in
                guard let context = unsafe context, let buffer = unsafe buffer else { return }
                // SAFETY: the context is the listener, which the handle's owner keeps until after guestfs_close; the
                // buffer holds `count` bytes for the time of this call.
                let listener = unsafe Unmanaged<ConsoleListener>.fromOpaque(context).takeUnretainedValue()
                let bytes = unsafe UnsafeRawBufferPointer(start: buffer, count: count)
                listener.receive(unsafe String(decoding: bytes, as: UTF8.self))
            },
            UInt64(GUESTFS_EVENT_APPLIANCE),
            0,
            Unmanaged.passUnretained(listener).toOpaque()
        )
        guard status >= 0 else { throw lastFailure }
    }
}

private final class ConsoleListener {
    let receive: (String) -> Void

    init(_ receive: @escaping (String) -> Void) {
        self.receive = receive
    }
}
