#!/bin/bash
# Fails the build, not the boot, if the page cannot be made.
set -euo pipefail

kiosk-page > /dev/null
