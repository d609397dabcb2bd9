#!/usr/bin/env bash
# Runs every check of the project: lint, format, types, tests. Makes what it needs first.
#
#   bash tools/test.sh [PYTEST ARGUMENTS]      for example: bash tools/test.sh tests/device -k limiter
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
cd "$ROOT"

make_venv
apt_install "${APT_TEST[@]}" ||
    echo "Not installed: ${APT_TEST[*]} (apt install ${APT_TEST[*]}); tests that need them skip."
install_python "$TEST_EXTRAS"

# Two test processes share the cores: more threads in each only get in each other's way.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
export MPLBACKEND=Agg

results=()
failures=0

# check NAME COMMAND...: runs one check and keeps its result, so that one run shows all failures.
check() {
    local name="$1" start=$SECONDS outcome=passed
    shift
    say "$name"
    "$@" || outcome=FAILED
    [ "$outcome" = passed ] || failures=$((failures + 1))
    results+=("$(printf '%-16s %-7s %4d s' "$name" "$outcome" $((SECONDS - start)))")
}

check "ruff check" .venv/bin/ruff check .
check "ruff format" .venv/bin/ruff format --check .
check "mypy" .venv/bin/mypy
check "pytest" .venv/bin/python -m pytest -n 2 -rfEs "$@"
if [ -f tools/test_tflite_runtime.sh ] && [ $# -eq 0 ]; then
    check "tflite-runtime" bash tools/test_tflite_runtime.sh
fi
if [ $# -eq 0 ]; then
    check "pip install ." bash tools/check_install.sh
    check "64-bit Pi, qemu" bash tools/test_aarch64.sh
fi

say "Summary"
printf '%s\n' "${results[@]}"
if [ "$failures" -gt 0 ]; then
    fail "$failures of ${#results[@]} checks failed; the output above says where."
fi
echo "All ${#results[@]} checks passed."
