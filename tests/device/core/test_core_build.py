"""The core as C: warnings, symbols, sanitizers, hostile input, and other processors."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from neuroamp.fitting import Fitting

from .conftest import CORE, HERE, INCLUDES, WARNINGS, compile_c, compiler

SOURCES = sorted((CORE / "src").glob("*.c"))
HOSTED = sorted((CORE / "hosted").glob("*.c"))
ALLOWED_FROM_OUTSIDE = {"memcpy", "memmove", "memset", "memcmp"}
AARCH64 = "aarch64-linux-gnu-gcc"
SANITIZER_OPTIONS = {"ASAN_OPTIONS": "detect_leaks=0"}  # the core has no heap; the driver just ends


def run(*command: str | Path, data: bytes | None = None) -> bytes:
    result = subprocess.run(
        [str(part) for part in command],
        input=data,
        capture_output=True,
        env={**os.environ, **SANITIZER_OPTIONS},
    )
    assert result.returncode == 0, result.stderr.decode()[-3000:]
    return result.stdout


@pytest.mark.parametrize("cc", ["gcc", "clang", AARCH64, "arm-none-eabi-gcc"])
def test_no_warning(cc: str, tmp_path: Path) -> None:
    bare_metal = cc.startswith("arm-none")
    target = ["-mcpu=cortex-m7", "-mthumb"] if bare_metal else []
    sources = SOURCES if bare_metal else [*SOURCES, *HOSTED]
    run(compiler(cc), *WARNINGS, *target, *INCLUDES, "-O1", "-fsyntax-only", *sources)


def test_no_heap_no_globals_no_library(tmp_path: Path) -> None:
    """All objects as one: what they need from outside, and what they hold in memory."""
    together = tmp_path / "core.o"
    flags = ["-std=c11", "-O2", "-ffp-contract=off", "-fno-stack-protector", "-r", "-nostdlib"]
    run(compiler(), *flags, *INCLUDES, *SOURCES, "-o", together)
    nm = shutil.which("nm")
    if nm is None:
        pytest.skip("needs nm (binutils)")
    rows = [line.split() for line in run(nm, together).decode().splitlines()]
    symbols = {(row[-2], row[-1]) for row in rows}
    outside = {name for kind, name in symbols if kind in "Uw"}
    assert outside <= ALLOWED_FROM_OUTSIDE | {"_GLOBAL_OFFSET_TABLE_"}
    assert not {name for kind, name in symbols if kind in "bBdDcC"}
    public = {name for kind, name in symbols if kind == "T"}
    assert all(name.startswith(("neuroamp_", "na_")) for name in public)


def test_sanitized_program_gives_the_same_sound(
    driver: Path, model: Callable[[str], Path], fitting: Fitting
) -> None:
    rng = np.random.default_rng(0)
    heard = (0.1 * rng.standard_normal(3001)).astype(np.float32)
    for name in ("wear", "paper", "paper-bands"):
        outputs = [
            run(driver, "process", model(name), "0", block, data=heard.tobytes())
            for block in ("32", "1000")
        ]
        assert outputs[0] == outputs[1]
        out = np.frombuffer(outputs[0], dtype=np.float32)
        assert out.size == heard.size
        assert np.all(np.isfinite(out))


@pytest.mark.parametrize("name", ["tiny", "paper", "paper-bands", "wear"])
def test_hostile_input_never_exceeds_the_limit(
    driver: Path, model: Callable[[str], Path], name: str
) -> None:
    """The same with 10^6 frames: tools/check_core.sh."""
    frames = {"tiny": "20000", "paper": "300", "paper-bands": "300", "wear": "1500"}[name]
    assert b"loudest sample 0.9999" in run(driver, "adversarial", model(name), frames, "7")


@pytest.mark.parametrize("name", ["tiny", "paper", "wear"])
def test_no_setting_of_the_aid_lifts_its_output_over_the_limit(
    aid_driver: Path, model: Callable[[str], Path], name: str
) -> None:
    """Fittings, calibrations, volumes and mutes, sound and refused ones, in hostile sound."""
    hops = {"tiny": "20000", "paper": "300", "wear": "1500"}[name]
    assert b"loudest sample" in run(aid_driver, "adversarial", model(name), hops, "1")


def test_the_aid_is_set_and_read_while_the_sound_goes_on(
    aid_driver: Path, model: Callable[[str], Path]
) -> None:
    """A second thread sets fittings and reads times: none is torn, and the limit holds."""
    told = run(aid_driver, "threads", model("tiny"), "20000", "1")
    assert b"fittings taken: yes, reports read: yes" in told


def test_the_sound_card_s_callback_bears_any_block(
    aid_driver: Path, model: Callable[[str], Path]
) -> None:
    """Channels, frames, rates, flags and times at random; silence where no ear is."""
    assert b"5000 callbacks, sounding" in run(aid_driver, "stream", model("tiny"), "5000", "1")


def test_damaged_models_are_borne(driver: Path, model: Callable[[str], Path]) -> None:
    assert b"3000 damaged" in run(driver, "fuzz", model("tiny"), "3000", "1")


def test_the_model_reader_bears_what_libfuzzer_finds(
    tmp_path: Path, model: Callable[[str], Path]
) -> None:
    """Guided by coverage; for as long as one likes: tools/check_core.sh."""
    flags = ["-O1", "-g", "-DWITH_LIBFUZZER", "-fsanitize=fuzzer,address,undefined"]
    probe = tmp_path / "probe.c"
    probe.write_text("int LLVMFuzzerTestOneInput(void) { return 0; }")
    probed = [compiler("clang"), *flags, str(probe), "-o", str(tmp_path / "probe")]
    if subprocess.run(probed, capture_output=True).returncode != 0:
        pytest.skip("needs clang's sanitizers and libFuzzer (libclang-rt-dev)")
    fuzzer = compile_c(
        tmp_path / "fuzzer", [HERE / "driver.c"], *flags, "-fno-sanitize-recover=all", cc="clang"
    )
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    shutil.copy(model("tiny"), corpus)
    size = str(model("tiny").stat().st_size + 64)
    options = ("-runs=20000", "-seed=1", f"-max_len={size}", f"-artifact_prefix={tmp_path}/")
    run(fuzzer, *options, corpus)


def test_other_processors_give_the_same_bits(
    tmp_path: Path, driver: Path, model: Callable[[str], Path]
) -> None:
    qemu = shutil.which("qemu-aarch64")
    if qemu is None or shutil.which(AARCH64) is None:
        pytest.skip("needs qemu-user, gcc-aarch64-linux-gnu and libc6-dev-arm64-cross")
    program = compile_c(tmp_path / "arm64", [HERE / "driver.c"], "-O2", "-static", cc=AARCH64)
    expected = run(driver, "net", model("wear"), "0", "30")
    sound = run(driver, "adversarial", model("wear"), "400", "3")
    neon, neon_dot = "4", "5"
    for processor, kernels in (
        ("cortex-a72", ("0", neon)),
        ("cortex-a76", ("0", neon, neon_dot)),
    ):
        on_arm = (qemu, "-cpu", processor, program)
        for kernel in kernels:
            assert run(*on_arm, "net", model("wear"), kernel, "30") == expected
        assert run(*on_arm, "adversarial", model("wear"), "400", "3") == sound
