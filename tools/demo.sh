#!/usr/bin/env bash
# Hear and see what the aid does with a noisy recording. Makes what it needs first.
#
#   bash tools/demo.sh [ARGUMENTS OF `neuroamp demo`]      for example: bash tools/demo.sh --audiogram N4
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

make_venv
apt_install "${APT_CORE[@]}" ||
    echo "Without a C compiler (apt install ${APT_CORE[*]}) the net runs in LiteRT, not in the C core."
# An environment made for the tests holds all that the demo needs.
installed "$TEST_EXTRAS" || install_python "$DEMO_EXTRAS"
exec "$VENV/bin/neuroamp" demo "$@"
