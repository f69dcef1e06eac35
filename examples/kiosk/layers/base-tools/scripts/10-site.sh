#!/bin/bash
# Scripts run inside the guest, by their own first line, in the order of their names. The first one that fails stops the
# build. They see the merged environment, FLASHLAYER_LAYER and FLASHLAYER_PHASE.
set -euo pipefail

jq --null-input --arg site "$SITE_NAME" --arg layer "$FLASHLAYER_LAYER" \
    '{site: $site, layer: $layer}' > /etc/site.json
