#!/bin/bash
# Files, packages and variables are all there by now.
set -euo pipefail
custom-executable > /etc/custom-result
jq --version | cut -d - -f 1 >> /etc/custom-result
