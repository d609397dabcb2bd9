#!/usr/bin/env bash
# Runs the device's tests on the wheel for a 64-bit Raspberry Pi, under qemu, on another machine.
#
#   bash tools/test_aarch64.sh [PYTEST ARGUMENTS]
#
# Builds the wheel, fetches Debian's Python for arm64 and the wheel's own requirements into
# .cache/aarch64 (nothing of it is installed on this machine), and lets qemu's user emulation run
# the tests as a Cortex-A76, the Raspberry Pi 5's core. The Pi 4's is in tests/device/core. Not run
# there: what needs onnx or torch, what a sanitizer watches, and LiteRT, which this emulation ends
# with a segmentation fault.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
cd "$ROOT"

skip() {
    echo "Skipped: $*"
    exit 0
}

if [ "$(uname -m)" = aarch64 ]; then
    skip "this machine is a 64-bit ARM itself; pytest runs the same tests without qemu."
fi
for program in qemu-aarch64 aarch64-linux-gnu-gcc apt-get dpkg-deb; do
    command -v "$program" >/dev/null ||
        skip "$program is missing (on Debian: apt install qemu-user ${APT_AARCH64_CORE[*]})."
done

CACHE="$ROOT/.cache/aarch64"
SYSROOT="$CACHE/root"
APT_ARM=(python3 libportaudio2)
PYTHON_PACKAGES=(pytest hypothesis)
PLATFORMS=(manylinux2014)
for minor in 17 24 26 27 28 31 34 35; do
    PLATFORMS+=("manylinux_2_$minor")
done

# Debian's packages for arm64 and all they depend on, unpacked side by side: apt with lists, cache
# and status of its own needs no root and leaves this machine's alone.
fetch_sysroot() {
    local apt="$CACHE/apt" options package
    rm -rf "$SYSROOT"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$SYSROOT"
    : >"$apt/status"
    options=(-qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o "Dir::State=$apt"
        -o "Dir::State::lists=$apt/lists" -o "Dir::State::status=$apt/status"
        -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User= -o APT::Install-Recommends=0
        -o Acquire::Languages=none)
    apt-get "${options[@]}" update 2>/dev/null || true # a source without arm64 is no matter
    apt-get "${options[@]}" -y --download-only install "${APT_ARM[@]}" >/dev/null || return 1
    for package in "$apt"/cache/archives/*.deb; do
        dpkg-deb -x "$package" "$SYSROOT"
    done
    rm -rf "$apt"
}

arm_python() { readlink -f "$SYSROOT/usr/bin/python3"; }

# install_arm FOLDER WHAT...: wheels for arm64 and the Python in the sysroot.
install_arm() {
    local folder="$1" platform options=()
    shift
    for platform in "${PLATFORMS[@]}" linux; do
        options+=(--platform "${platform}_aarch64")
    done
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
        --no-warn-conflicts --only-binary=:all: --target "$folder" \
        --python-version "$(basename "$(arm_python)" | tr -d a-z)" "${options[@]}" "$@"
}

if [ "$(cat "$CACHE/sysroot.stamp" 2>/dev/null)" != "${APT_ARM[*]}" ]; then
    say "Fetching Debian's Python for arm64 (20 MB)"
    mkdir -p "$CACHE"
    fetch_sysroot || skip "Debian's packages ${APT_ARM[*]} for arm64 could not be fetched."
    echo "${APT_ARM[*]}" >"$CACHE/sysroot.stamp"
    rm -f "$CACHE/packages.stamp"
fi

wheel="$(bash tools/build_aarch64_wheel.sh "$CACHE/wheel")"
wanted="${PYTHON_PACKAGES[*]} $(sed -n '/^dependencies/,/^]/p' pyproject.toml | sha256sum)"
if [ "$(cat "$CACHE/packages.stamp" 2>/dev/null)" != "$wanted" ]; then
    say "Installing the wheel's requirements for arm64"
    rm -rf "$CACHE/packages"
    install_arm "$CACHE/packages" "$wheel" "${PYTHON_PACKAGES[@]}"
    rm -rf "$CACHE"/packages/neuroamp*
    echo "$wanted" >"$CACHE/packages.stamp"
fi
rm -rf "$CACHE/neuroamp"
install_arm "$CACHE/neuroamp" --no-deps "$wheel"

export PYTHONPATH="$CACHE/neuroamp:$CACHE/packages" PYTHONDONTWRITEBYTECODE=1
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 CC=aarch64-linux-gnu-gcc
unset NEUROAMP_MODELS
emulated=(qemu-aarch64 -cpu cortex-a76 -L "$SYSROOT" "$(arm_python)")

say "$("${emulated[@]}" -c 'import platform; print(platform.machine(), platform.python_version())')"
"${emulated[@]}" -m neuroamp_host.cli profile --seconds 0.5 | grep -E '^(engine|model|frames)'
"${emulated[@]}" -m pytest -p no:cacheprovider tests/device \
    --ignore tests/device/core/test_core_build.py --ignore tests/device/core/test_core_link.py \
    --ignore tests/device/test_tflite_engine.py "$@"
