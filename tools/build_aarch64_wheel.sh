#!/usr/bin/env bash
# Builds the package's wheel for a 64-bit Raspberry Pi, with the C core, on any Debian machine.
#
#   bash tools/build_aarch64_wheel.sh [FOLDER]      (default: dist)
#
# The core has nothing of Python's in it, so that one wheel serves every Python from 3.11 on. On the
# Pi: python3 -m venv aid && aid/bin/pip install neuroamp-*-linux_aarch64.whl
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
out="$(mkdir -p "${1:-$ROOT/dist}" && cd "${1:-$ROOT/dist}" && pwd)"
python="${NEUROAMP_PYTHON:-$VENV/bin/python}"

compiler=gcc
if [ "$(uname -m)" != aarch64 ]; then
    compiler=aarch64-linux-gnu-gcc
    command -v "$compiler" >/dev/null || apt_install "${APT_AARCH64_CORE[@]}" ||
        fail "The cross compiler is missing: apt install ${APT_AARCH64_CORE[*]}"
fi

# A copy, so that nothing built for this machine gets in and nothing of the build stays.
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
copy_source "$work"

export CC="$compiler" LDSHARED="$compiler -shared" SETUPTOOLS_EXT_SUFFIX=.abi3.so
"$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation \
    --no-cache-dir --wheel-dir "$work/wheel" \
    --config-settings=--build-option=--plat-name=linux_aarch64 \
    --config-settings=--build-option=--py-limited-api=cp311 "$work"
wheel="$(basename "$work"/wheel/*.whl)"

# The core is optional where a package is built from source, but not in this wheel.
"$python" - "$work/wheel/$wheel" <<'PYTHON'
import struct
import sys
import zipfile

with zipfile.ZipFile(sys.argv[1]) as wheel:
    cores = [name for name in wheel.namelist() if name.startswith("neuroamp/_core")]
    assert len(cores) == 1, f"the wheel holds {len(cores)} cores: {cores}"
    header = wheel.read(cores[0])[:20]
machine = struct.unpack_from("<H", header, 18)[0]
assert header[:4] == b"\x7fELF" and machine == 183, "the core is not for 64-bit ARM"
PYTHON
mv "$work/wheel/$wheel" "$out/"
echo "$out/$wheel"
