"""The core compiled for tests, and nets of random weights for it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from neuroamp.audiogram import Ear
from neuroamp.fitting import Fitting
from neuroamp.profile import PAPER, PAPER_BANDS, WEAR, Profile
from neuroamp_export.core_format import FloatLayer, FloatWeights, write_core_model

ROOT = Path(__file__).resolve().parents[3]
CORE = ROOT / "device" / "core"
HERE = Path(__file__).parent
WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
INCLUDES = [f"-I{CORE / 'include'}", f"-I{CORE / 'src'}"]
SANITIZERS = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]

TINY = Profile(
    name="tiny",
    sample_rate_hz=16000,
    frame_length=64,
    hop=8,
    synthesis_length=16,
    window="asymmetric",
    hops_per_step=2,
    features="band-level",
    output="band-gain",
    bands=10,
    gain_min_db=-20.0,
    gain_max_db=6.0,
)
"""As WEAR, but small: for what has to be done many times."""


def compiler(name: str = "gcc") -> str:
    path = shutil.which(name) or (shutil.which("cc") if name == "gcc" else None)
    if path is None:
        pytest.skip(f"needs the compiler {name}")
    return path


def compile_c(output: Path, sources: list[Path], *flags: str, cc: str | None = None) -> Path:
    """Compiles the core and further sources into `output`; by $CC where no compiler is named."""
    command = [
        compiler(cc or os.environ.get("CC", "gcc")),
        "-std=c11",
        "-ffp-contract=off",
        "-fvisibility=default",
        *INCLUDES,
    ]
    core = sorted((CORE / "src").glob("*.c"))
    files = [str(path) for path in [*core, *sources]]
    result = subprocess.run(
        [*command, *flags, *files, "-lm", "-o", str(output)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-4000:]
    return output


def random_weights(
    seed: int, profile: Profile, units: int, widths: tuple[int, ...], size: float = 1.0
) -> FloatWeights:
    """A net of random weights; with a `size` above one most of its units saturate."""
    rng = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> Any:
        return size * rng.standard_normal((rows, columns)) / np.sqrt(columns)

    layers, inputs = [], profile.feature_count + units
    for width in widths:
        bias = rng.standard_normal(4 * width)
        layers.append(FloatLayer(matrix(4 * width, inputs), matrix(4 * width, width), bias))
        inputs = width
    outputs = profile.feature_count
    return FloatWeights(
        matrix(units, 6),
        rng.standard_normal(units),
        tuple(layers),
        matrix(outputs, inputs),
        rng.standard_normal(outputs),
    )


NETS: dict[str, tuple[Profile, int, tuple[int, ...]]] = {
    "wear": (WEAR, 16, (128, 128)),
    "paper": (PAPER, 16, (40, 24)),
    "paper-bands": (PAPER_BANDS, 16, (40, 24)),
    "tiny": (TINY, 3, (6,)),
}


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Path of the `.nam` file of a net of `NETS`, with random weights."""
    folder = tmp_path_factory.mktemp("models")

    def write(name: str) -> Path:
        path = folder / f"{name}.nam"
        if not path.exists():
            profile, units, widths = NETS[name]
            weights = random_weights(1, profile, units, widths)
            write_core_model(path, name, name, profile, weights)
        return path

    return write


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tests/device/core/driver.c under the address and undefined-behaviour sanitizers."""
    output = tmp_path_factory.mktemp("driver") / "driver"
    return compile_c(output, [HERE / "driver.c"], "-O1", *SANITIZERS)


@pytest.fixture(scope="session")
def aid_driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tests/device/core/aid_driver.c under the same sanitizers."""
    output = tmp_path_factory.mktemp("driver") / "aid_driver"
    sources = [HERE / "aid_driver.c", *sorted((CORE / "hosted").glob("*.c"))]
    return compile_c(output, sources, "-O1", "-pthread", *SANITIZERS)


@pytest.fixture(scope="session")
def fitting() -> Fitting:
    """A moderate, sloping loss, compressed."""
    return Fitting(
        ear=Ear.LEFT,
        thresholds_db_hl=(30.0, 35.0, 40.0, 50.0, 60.0, 65.0),
        rule="test",
        gain_65_db=tuple(np.linspace(5.0, 25.0, 11).tolist()),
        compression_ratio=tuple(np.linspace(1.0, 2.5, 11).tolist()),
    )
