#!/usr/bin/env bash
# Installs the package as a user does, without extras, in a fresh environment, and uses it.
#
#   bash tools/check_install.sh
#
# Shows that no torch comes with it, how long the first frame takes, that the commands of a board
# run; then the same where no C compiler is found: the package says so and another engine works.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

python="$(find_python)" || fail "Python 3.11 or newer is needed and was not found."
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
mkdir "$work/source" "$work/again"
copy_source "$work/source"
copy_source "$work/again" # a build leaves its objects behind
"$python" -m venv "$work/venv"
installed=("$work/venv/bin/python" -m pip --disable-pip-version-check)

# use: the first frame, a recording and the profile, away from the checkout.
use() {
    cd "$work"
    venv/bin/python "$ROOT/tools/first_frame.py"
    venv/bin/neuroamp process "$ROOT/host/neuroamp_host/demo_audio/speech.flac" out.wav \
        --audiogram N3 | grep -E '^(model|time per frame|real-time)'
    venv/bin/neuroamp profile --seconds 2 2>/dev/null | grep -E '^(note|engine|whole|memory)'
}

say "pip install . without extras"
"${installed[@]}" install --quiet --no-input "$work/source"
"${installed[@]}" list | awk 'NR > 2 { printf "%s %s, ", $1, $2 } END { print "" }'
if "${installed[@]}" list | grep -qiE '^(torch|scipy|onnx|matplotlib) '; then
    fail "The base install brought a package that only the host needs."
fi
test -n "$(ls "$work"/venv/lib/python*/site-packages/neuroamp/_core*)"
use

say "The same without a C compiler"
CC=false "${installed[@]}" install --quiet --no-input --no-deps --force-reinstall --no-cache-dir \
    "$work/again"
test -z "$(ls "$work"/venv/lib/python*/site-packages/neuroamp/_core* 2>/dev/null)"
use
if venv/bin/neuroamp profile --engine native 2>"$work/message"; then
    fail "A native engine was found although none was built."
fi
cat "$work/message"
grep -q "no C compiler was found" "$work/message"
