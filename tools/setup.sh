# shellcheck shell=bash disable=SC2034  # the lists are used by the scripts that source this
# What tools/test.sh and tools/demo.sh share: it makes the checkout's own Python environment.
#
# Sourced, never run. The lists of what has to be installed are here and nowhere else; the
# Python packages themselves are in pyproject.toml.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
VENV="$ROOT/.venv"

# Extras of pyproject.toml that each command needs.
DEMO_EXTRAS="demo"
TEST_EXTRAS="host,tflite,fitting,dev"

# Debian packages: Python itself; the compiler of the C core; what compiles the firmware and runs it;
# and for the tests what sounddevice loads, the compiler that fuzzes, a sound server that needs no
# hardware, the browser that opens the fitting page with fonts for it, and what compiles and runs the core for a 64-bit Raspberry Pi where
# this machine is none.
APT_PYTHON=(python3 python3-venv)
APT_CORE=(gcc libc6-dev)
APT_FIRMWARE=(gcc-arm-none-eabi libnewlib-arm-none-eabi make qemu-system-arm)
APT_TEST=("${APT_CORE[@]}" "${APT_FIRMWARE[@]}" libportaudio2 clang libclang-rt-dev)
APT_TEST+=(jackd2 libjack-jackd2-0 chromium fonts-liberation)
APT_AARCH64_CORE=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross)
if [ "$(uname -m)" != aarch64 ]; then
    APT_TEST+=("${APT_AARCH64_CORE[@]}" qemu-user)
fi

say() { printf '\n== %s\n' "$*"; }

fail() {
    printf '\n%s\n' "$*" >&2
    exit 1
}

# Prints the first Python that is new enough; NEUROAMP_PYTHON, where set, is the only candidate.
find_python() {
    local candidate
    for candidate in ${NEUROAMP_PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

# Prints how to become root ('' for root itself); fails where that would ask for a password.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        return 0
    fi
    command -v sudo >/dev/null && sudo -n true 2>/dev/null && echo sudo
}

# apt_install PACKAGE...: installs what is missing; fails, and changes nothing, where it may not.
apt_install() {
    local missing=() package root apt
    command -v apt-get >/dev/null || return 1
    for package in "$@"; do
        if [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
            missing+=("$package")
        fi
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    root="$(as_root)" || return 1
    say "Installing the Debian packages ${missing[*]}"
    apt=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 -qq)
    [ -z "$root" ] || apt=("$root" "${apt[@]}")
    # Old package lists may still do; whether they did is what the install tells.
    "${apt[@]}" update || true
    "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null
}

make_venv() {
    local python
    if [ -x "$VENV/bin/python" ] && "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
        return 0
    fi
    if ! python="$(find_python)"; then
        apt_install "${APT_PYTHON[@]}" || true
        python="$(find_python)" || fail "Python 3.11 or newer is needed and was not found. Install it \
(on Debian 12 or Raspberry Pi OS 'bookworm' and later: apt install ${APT_PYTHON[*]}) and run this \
again; a Python in another place is taken from the variable NEUROAMP_PYTHON."
    fi
    say "Making a Python environment in .venv with $("$python" --version)"
    if ! "$python" -m venv --clear "$VENV" >/dev/null 2>&1; then
        # Debian keeps the part that puts pip into an environment in a package of its own.
        apt_install "${APT_PYTHON[@]}" || true
        "$python" -m venv --clear "$VENV" || fail "Python's venv module did not work. Install it \
(on Debian and Raspberry Pi OS: apt install python3-venv) and run this again."
    fi
}

# copy_source FOLDER: all that a build of the package takes, and nothing that was built before.
copy_source() {
    cp -r "$ROOT"/{pyproject.toml,setup.py,MANIFEST.in,README.md,LICENSE} \
        "$ROOT"/{device,firmware_export,host,models} "$1"
    find "$1" \( -name '*.so' -o -name __pycache__ -o -name '*.egg-info' \) -prune -exec rm -rf {} +
}

# What an environment was made from, the compiled core and its compiler included; when it changes,
# pip has to look again.
fingerprint() {
    {
        "$VENV/bin/python" --version
        command -v gcc || true
        find "$ROOT/pyproject.toml" "$ROOT/setup.py" "$ROOT/tools/setup.sh" "$ROOT/device/core" \
            -type f \( -name '*.[ch]' -o -name '*.py' -o -name '*.toml' -o -name '*.sh' \) \
            -exec sha256sum {} + | sort
    } | sha256sum
}

stamp_of() { echo "$VENV/neuroamp-$1.stamp"; }

# installed EXTRAS: whether the environment holds them, made from the files as they are now.
installed() {
    [ -f "$(stamp_of "$1")" ] && [ "$(cat "$(stamp_of "$1")")" = "$(fingerprint)" ]
}

pip_install() {
    local quiet=(--quiet)
    [ -t 1 ] && quiet=()
    "$VENV/bin/python" -m pip install "${quiet[@]}" --disable-pip-version-check --no-input "$@" ||
        fail "pip could not install the packages above. Check the connection and the free disk \
space ($(df -h --output=avail "$ROOT" | tail -1 | tr -d ' ') left here; the tests' packages take \
about 4 GB, the demo's 1 GB). Where a package has no wheel for this machine ($(uname -m), \
$("$VENV/bin/python" --version)), use a 64-bit Debian or Raspberry Pi OS. Then run this again."
}

# install_python EXTRAS: the project, editable, with these extras; at once where nothing changed.
install_python() {
    installed "$1" && return 0
    say "Installing Python packages (extras: $1); the first time takes minutes"
    pip_install --editable "${ROOT}[$1]"
    if [ "$1" = "$DEMO_EXTRAS" ]; then
        # All that pyclarity requires is a hundred packages, torch among them; the demo's scores
        # take its published constants and NAL-R from it, which need none of those.
        pip_install --no-deps "$(grep -o '"pyclarity[^"]*"' "$ROOT/pyproject.toml" | tr -d '"')"
    fi
    fingerprint >"$(stamp_of "$1")"
}
