#!/bin/bash
set -euo pipefail
cat /etc/os-base-release >> /etc/custom-result
