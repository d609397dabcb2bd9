#!/usr/bin/env bash
# Tests the TFLite engine with tflite-runtime 2.14 and numpy 1, which older boards still have.
#
# Makes a virtual environment of its own, .venv-tflite-runtime, because tflite-runtime does not
# work with numpy 2; it has wheels up to Python 3.11, for x86-64, ARMv7 and AArch64 Linux.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

VENV=.venv-tflite-runtime
PACKAGES=(tflite-runtime==2.14.0 'numpy<2' soundfile soxr pytest hypothesis)
STAMP="$VENV/installed"

if [ "$(cat "$STAMP" 2>/dev/null)" != "${PACKAGES[*]}" ]; then
    python=""
    for candidate in ${NEUROAMP_PYTHON:-python3.11 python3 .venv/bin/python}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
            python="$candidate"
            break
        fi
    done
    if [ -z "$python" ]; then
        echo "Skipped: tflite-runtime has no wheel for a newer Python than 3.11, and no Python" \
            "3.11 was found; one in another place is taken from the variable NEUROAMP_PYTHON."
        exit 0
    fi
    "$python" -m venv --clear "$VENV"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
        "${PACKAGES[@]}"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
        --no-deps --editable .
    echo "${PACKAGES[*]}" >"$STAMP"
fi

OMP_NUM_THREADS=1 exec "$VENV/bin/python" -m pytest tests/device/test_tflite_engine.py "$@"
