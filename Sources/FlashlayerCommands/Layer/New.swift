// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import FoundationEssentials
import Glibc
import Layers
import Model
import Resolution

/// `flashlayer new`
struct New: Operation {
    static let configuration = CommandConfiguration(
        commandName: "new",
        abstract: "Write a project that builds as it stands, with comments that teach.",
        usage: "flashlayer new <folder> [--force] [<option> ...]",
        discussion: """
            Makes the folder, and in it a recipe, two small layers and a README. The image gets the folder's name.

              flashlayer new kiosk
              flashlayer build kiosk
            """
    )

    @Argument(help: ArgumentHelp("The project's folder: a new one, or an empty one.", valueName: "folder"))
    var folder: String

    @Flag(help: "Write into a folder that holds something already. Files that are there stay as they are.")
    var force = false

    @OptionGroup var common: CommonOptions

    func perform(_ console: Console) async throws {
        guard !folder.isEmpty else {
            throw FlashlayerError(
                .usage,
                "the project's folder needs a name",
                advice: "for example: flashlayer new kiosk"
            )
        }
        let files = FileManager.default
        let folder = folder.count > 1 && folder.hasSuffix("/") ? String(folder.dropLast()) : folder
        var status = stat()
        let isThere = unsafe lstat(folder, &status) == 0
        var isFolder = false
        if isThere, !files.fileExists(atPath: folder, isDirectory: &isFolder) || !isFolder {
            throw FlashlayerError(
                .cannotCreate,
                "\(Printable.line(folder)) is there and is no folder",
                advice: "name another folder"
            )
        }
        let present = isThere ? try contents(of: folder) : []
        if let first = present.first, !force {
            let more = present.count == 1 ? "" : " and \(present.count - 1) more"
            throw FlashlayerError(
                .cannotCreate,
                "the folder \(Printable.line(folder)) is not empty: it holds \(Printable.line(first))\(more)",
                advice: "name another folder; or --force, which adds what is missing and replaces nothing"
            )
        }
        let template = ProjectTemplate(folder: Self.name(of: folder))
        try make(folder)
        for file in template.files { try write(file, in: folder, console) }
        let place = folder == "." ? "" : " \(Self.word(folder))"
        console.say("\(Printable.line(folder)) holds the project \(template.name). What to do next:")
        for line in [
            "flashlayer plan\(place)", "flashlayer build\(place)", "flashlayer boot-test \(template.name).qcow2",
            "flashlayer build-and-write /dev/sdX" + (place.isEmpty ? "" : " --project\(place)"),
        ] {
            console.say("  \(line)")
        }
        Console.answer(folder)
    }

    private func contents(of folder: String) throws -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
        } catch {
            throw FlashlayerError.system("read the folder \(folder)", .current, code: .cannotCreate)
        }
    }

    /// With those above it.
    private func make(_ folder: String) throws {
        var path = ""
        for part in folder.split(separator: "/", omittingEmptySubsequences: false) {
            path += path.isEmpty && !folder.hasPrefix("/") ? String(part) : "/\(part)"
            if path.isEmpty || path == "/" { continue }
            if unsafe mkdir(path, 0o755) == 0 {
                OutputOwner.adopt(path)
            } else if errno != EEXIST {
                throw FlashlayerError.system("make the folder \(path)", .current, code: .cannotCreate)
            }
        }
    }

    private func write(_ file: ProjectTemplate.File, in folder: String, _ console: Console) throws {
        let path = "\(folder)/\(file.path)"
        var status = stat()
        // A link that leads nowhere is there as well.
        guard unsafe lstat(path, &status) != 0 else {
            return console.say("\(Printable.line(path)) is there, and stays")
        }
        try make(String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]))
        try HostFile.write(file.text, to: path, mode: file.mode)
        OutputOwner.adopt(path)
    }

    private static func name(of folder: String) -> String {
        let path = folder.hasPrefix("/") ? folder : "\(FileManager.default.currentDirectoryPath)/\(folder)"
        // `.` and `..` have no name of their own.
        let resolved = unsafe realpath(path, nil)
        defer { unsafe free(resolved) }
        let whole = unsafe resolved.map { unsafe String(cString: $0) } ?? path
        return whole.split(separator: "/").last.map(String.init) ?? ""
    }

    /// As a shell takes it, and no command for an option.
    private static func word(_ folder: String) -> String {
        let folder = folder.hasPrefix("-") ? "./\(folder)" : folder
        let isPlain = folder.unicodeScalars.allSatisfy {
            $0.isASCII && ($0.properties.isAlphabetic || "0123456789/._-+".unicodeScalars.contains($0))
        }
        return isPlain ? folder : folder.shellQuoted
    }
}
