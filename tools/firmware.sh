#!/usr/bin/env bash
# The aid on a microcontroller: builds its firmware, and runs a recording through it in an emulator.
# Makes what it needs first.
#
#   bash tools/firmware.sh build --board mps2-an500
#   bash tools/firmware.sh run --board mps2-an500 noisy.wav out.wav --audiogram N3
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

make_venv
apt_install "${APT_CORE[@]}" "${APT_FIRMWARE[@]}" ||
    echo "Not installed: ${APT_CORE[*]} ${APT_FIRMWARE[*]} (apt install them)."
# An environment made for the tests holds all that this needs.
installed "$TEST_EXTRAS" || install_python "$DEMO_EXTRAS"
exec "$VENV/bin/neuroamp" firmware "$@"
