// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FlashlayerCommands

@main
enum Flashlayer {
    static func main() async {
        await FlashlayerCommand.runAndExit()
    }
}
