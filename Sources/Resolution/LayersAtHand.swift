// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Layers
import Model

extension ProjectResolver {
    /// The git layers of recipes that the cache has at the commits that the lock names. Nothing is fetched, and what is
    /// not there is left out.
    package func layersAtHand(of recipes: [Recipe]) async throws -> Fetched {
        var fetched = Fetched()
        for recipe in recipes {
            let known = try? LockFile(in: recipe.folder, variant: recipe.variant).build
            for entry in recipe.layers where fetched.layers[entry.line] == nil {
                guard case .git(let written, let ref) = entry.origin,
                    let pin = known?.layers.first(where: { $0.url == written && $0.ref == ref })
                else { continue }
                let repository = GitRepository(
                    url: Self.url(written, in: recipe),
                    ref: ref,
                    place: "\(recipe.file):\(entry.line)",
                    cache: cache,
                    isOffline: true
                )
                do {
                    let checkout = try await repository.checkout(commit: pin.commit, onActivity: { _ in })
                    let source = "git \(written)#\(checkout.commit)"
                    fetched.layers[entry.line] = .init(folder: checkout.folder, source: source)
                } catch is FlashlayerError {
                    // Not here: whoever asks says so.
                }
            }
        }
        return fetched
    }
}
