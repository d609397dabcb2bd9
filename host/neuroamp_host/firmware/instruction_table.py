"""The tables of instructions a stage that docs/cortex-m.md holds, and what they are measured on."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from neuroamp.audiogram import BISGAARD, Ear
from neuroamp.core_file import read_core_file
from neuroamp.profile import PAPER
from neuroamp.released import find_model
from neuroamp_export.core_format import FloatLayer, FloatWeights, write_core_model
from neuroamp_export.target import make_image, read_board
from numpy.typing import NDArray

from neuroamp_host.firmware import emulator
from neuroamp_host.firmware.build import Firmware, build
from neuroamp_host.firmware.instructions import STAGES, count
from neuroamp_host.prescription.fit import make_fitting

DEMO_AUDIO = Path(__file__).resolve().parents[1] / "demo_audio"
NARROW_SOURCE = (
    Path(__file__).resolve().parents[3] / "tools" / "instructions" / "eight_bit_states.c"
)
NARROW = "8-bit states"
EMULATED_BOARDS = ("mps2-an500", "mps2-an386", "mps3-an547")
NETS = ("wear", "paper-lstm")
SECONDS = 1.0
LEVEL_DB_SPL = 65.0
PAPER_AUDIOGRAM_UNITS, PAPER_WIDTHS = 16, (256, 256)
"""Of the paper's optimised LSTM."""


def build_net(board_name: str, net: str, out: Path) -> Firmware:
    """The firmware of a board around a net.

    Args:
        board_name: one of `EMULATED_BOARDS`.
        net: one of `NETS`.
        out: folder for what is built.

    Raises:
        NeuroampError: a tool is missing, or the build failed.
    """
    board = read_board(board_name)
    model = find_model(net, "native") if net == "wear" else _paper_model(out / f"{net}.nam")
    return build(board, make_image(read_core_file(model)[1], board.target, model.name), out)


def build_with_narrow_states(out: Path) -> Firmware:
    """The wearable model's firmware for the Cortex-M55 with a net whose states have 8 bits, to be
    counted and for nothing else: its sound is none."""
    board = read_board("mps3-an547")
    model = find_model("wear", "native")
    image = make_image(read_core_file(model)[1], board.target, model.name)
    link = "MORE_LINK=-Wl,--wrap=na_multiply_helium"
    return build(board, image, out, Ear.LEFT, f"MORE_SOURCES={NARROW_SOURCE}", link)


def measure(firmware: Firmware) -> dict[str, Any]:
    """Counts over a second of noisy speech; what the tables are made of.

    Raises:
        NeuroampError: a tool is missing, or the run failed.
    """
    profile = firmware.image.profile
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        fitting = make_fitting(BISGAARD["N3"], Ear.LEFT)
        emulator.store_settings(folder, fitting, emulator.calibration_of(Ear.LEFT))
        samples = emulator.microphone_samples(_noisy_speech_pa(), profile.hop)
        counts = count(firmware, samples, folder)
    return {
        "target": firmware.board.target,
        "frames_per_second": profile.sample_rate_hz / profile.hop,
        "products": firmware.image.products,
        "frame": round(counts.frame),
        "longest_frame": counts.longest_frame,
        "rest": round(counts.rest),
        "stages": {name: round(value) for name, value in counts.stages.items()},
        "calls": {name: round(value, 3) for name, value in counts.calls.items()},
    }


def tables(measured: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Markdown: per net the stages and the sums; `measured[net][board]` as `measure` gives it."""
    parts = []
    for net, boards in measured.items():
        first = next(iter(boards.values()))
        parts += [
            f"**{net}**, {first['frames_per_second']:g} frames a second, "
            f"{first['products']:,} products a step of the net\n\n",
            _row(["instructions", "calls a frame", *(f"{b['target']}" for b in boards.values())]),
            _row(["---", *["---:"] * (1 + len(boards))]),
        ]
        for stage in STAGES:
            cells = [f"{board['stages'][stage]:,}" for board in boards.values()]
            parts.append(_row([stage, f"{first['calls'][stage]:.2g}", *cells]))
        sums = {
            "the rest of a frame": [f"{b['rest']:,}" for b in boards.values()],
            "**frame**, mean": [f"**{b['frame']:,}**" for b in boards.values()],
            "frame, longest": [f"{b['longest_frame']:,}" for b in boards.values()],
            "net, instructions a product": [
                f"{b['stages']['net'] / b['products']:.3f}" for b in boards.values()
            ],
            "million instructions a second": [f"{mips(b):.1f}" for b in boards.values()],
            "MHz, on average": [f"{mips(b):.0f}" for b in boards.values()],
            "MHz, every frame within its hop": [
                f"{b['longest_frame'] * b['frames_per_second'] / 1e6:.0f}" for b in boards.values()
            ],
        }
        parts += [_row([name, "", *cells]) for name, cells in sums.items()]
        parts.append("\n")
    return "".join(parts).rstrip("\n") + "\n"


def mips(board: dict[str, Any]) -> float:
    """Million instructions a second of audio."""
    return float(board["frame"] * board["frames_per_second"] / 1e6)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _noisy_speech_pa() -> NDArray[np.float64]:
    length = round(SECONDS * PAPER.sample_rate_hz)
    parts = []
    for name in ("speech", "noise"):
        sound, _ = soundfile.read(DEMO_AUDIO / f"{name}.flac")
        middle = sound[sound.size // 3 :][:length]
        parts.append(middle / np.sqrt(np.mean(middle**2)))
    mixture = parts[0] + 0.5 * parts[1]
    level = 20e-6 * 10.0 ** (LEVEL_DB_SPL / 20.0)
    return np.asarray(mixture * level / np.sqrt(np.mean(mixture**2)), dtype=np.float64)


def _paper_model(path: Path) -> Path:
    """A net of the paper's shape with random weights, as a plain `.nam` file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)

    def matrix(rows: int, columns: int) -> NDArray[np.float64]:
        return rng.standard_normal((rows, columns)) / np.sqrt(columns)

    layers, inputs = [], PAPER.feature_count + PAPER_AUDIOGRAM_UNITS
    for width in PAPER_WIDTHS:
        gates = 4 * width
        layers.append(FloatLayer(matrix(gates, inputs), matrix(gates, width), np.zeros(gates)))
        inputs = width
    weights = FloatWeights(
        matrix(PAPER_AUDIOGRAM_UNITS, 6),
        np.zeros(PAPER_AUDIOGRAM_UNITS),
        tuple(layers),
        matrix(PAPER.feature_count, inputs),
        np.zeros(PAPER.feature_count),
    )
    write_core_model(path, path.stem, path.stem, PAPER, weights)
    return path
