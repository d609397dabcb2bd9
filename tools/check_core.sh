#!/usr/bin/env bash
# The long checks of the C core: hostile input against the output limit, of the chain and of the
# whole aid with hostile settings as well, and damaged model files.
#
#   bash tools/check_core.sh MODEL.nam [FRAMES] [FUZZ_SECONDS]      (1000000 frames, 60 s)
#
# The first two run the plain build, for speed; the last runs libFuzzer with the address and
# undefined-behaviour sanitizers where clang is installed.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2; }
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
model="$1" frames="${2:-1000000}" seconds="${3:-60}"
build="$(mktemp -d)"
trap 'rm -rf "$build"' EXIT

flags=(-std=c11 -ffp-contract=off "-I$root/device/core/include")
core=("$root"/device/core/src/*.c)
programs="$root/tests/device/core"

for program in driver aid_driver; do
    "${CC:-cc}" "${flags[@]}" -O3 -pthread "${core[@]}" "$root"/device/core/hosted/*.c \
        "$programs/$program.c" -lm -o "$build/$program"
    "$build/$program" adversarial "$model" "$frames" 1
done

if ! command -v clang > /dev/null; then
    echo "clang is not installed (apt install clang): the model reader was not fuzzed."
    exit 0
fi
# -O1 does not vectorise, and clang would say so of loops that ask for it.
clang "${flags[@]}" -g -O1 -Wno-pass-failed -DWITH_LIBFUZZER -fsanitize=fuzzer,address,undefined \
    -fno-sanitize-recover=all "${core[@]}" "$programs/driver.c" -lm -o "$build/fuzzer"
mkdir "$build/corpus"
cp "$model" "$build/corpus/"
"$build/fuzzer" -max_total_time="$seconds" -max_len=$(($(stat -c %s "$model") + 64)) \
    -print_final_stats=1 "$build/corpus" > "$build/log" 2>&1 || { tail -40 "$build/log"; exit 1; }
grep -E "number_of_executed_units|DONE" "$build/log"
echo "No damaged model file was read out of bounds."
