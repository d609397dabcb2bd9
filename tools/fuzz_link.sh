#!/usr/bin/env bash
# Hostile bytes into both ends of the fitting link's device side, under sanitizers where it is C.
#
#   bash tools/fuzz_link.sh [PIECES] [FUZZ_RUNS]      (1000000 pieces, 200000 runs)
#
# Mutated and random pieces of a line, the same into the C parser and the Python one: what is no
# whole request must have no effect. Then libFuzzer on the C side, bytes and whole frames of any
# payload, guided by coverage, where clang is installed.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
pieces="${1:-1000000}" runs="${2:-200000}"
build="$(mktemp -d)"
trap 'rm -rf "$build"' EXIT
cd "$root"

python="$root/.venv/bin/python"
export PYTHONPATH="$root/tools"
flags=(-std=c11 -g -O1 -ffp-contract=off -Idevice/core/include -Idevice/core/src)
sources=(device/core/src/*.c tests/device/core/link_driver.c)

"$python" -m tests.device.link.bear frames > "$build/frames"
"${CC:-cc}" "${flags[@]}" -fsanitize=address,undefined -fno-sanitize-recover=all \
    "${sources[@]}" -lm -o "$build/driver"
export ASAN_OPTIONS=detect_leaks=0
"$build/driver" mutate "$build/frames" 1 "$pieces" > "$build/corpus"
echo "C:      $("$build/driver" bear "$build/frames" < "$build/corpus")"
echo "Python: $("$python" -m tests.device.link.bear bear < "$build/corpus")"

if ! command -v clang > /dev/null; then
    echo "clang is not installed (apt install clang): libFuzzer was not run."
    exit 0
fi
clang "${flags[@]}" -DWITH_LIBFUZZER -fsanitize=fuzzer,address,undefined \
    -fno-sanitize-recover=all "${sources[@]}" -lm -o "$build/fuzzer"
mkdir "$build/seeds"
"$python" -m tests.device.link.bear seeds "$build/seeds"
"$build/fuzzer" -runs="$runs" -max_len=2048 -print_final_stats=1 "$build/seeds" \
    > "$build/log" 2>&1 || { tail -40 "$build/log"; exit 1; }
grep -E "number_of_executed_units" "$build/log"
tail -3 "$build/log" | grep -o "cov: [0-9]*" || true
echo "libFuzzer found no crash, no error of the sanitizers, and no effect of what is no frame."
