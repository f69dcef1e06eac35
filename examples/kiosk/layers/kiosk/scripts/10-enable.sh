#!/bin/bash
# No systemd runs while the image is built, but units can be enabled: that only makes links.
set -euo pipefail

systemctl enable kiosk-page.service
