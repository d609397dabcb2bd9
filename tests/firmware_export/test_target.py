"""Firmware images: the packed matrices are the net's own, and what does not fit is refused."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from neuroamp.audiogram import BISGAARD, Ear
from neuroamp.core_file import (
    INPUT_SLOT,
    PARTS,
    RECURRENT_SLOT,
    SECTIONS,
    SLOTS,
    SLOTS_PER_LAYER,
    read_core_weights,
    read_sections,
)
from neuroamp.engines.native import NativeChain, library_path
from neuroamp.errors import NeuroampError
from neuroamp.integer_net import IntegerMatrix
from neuroamp_export.core_format import FloatWeights, write_core_model
from neuroamp_export.packing import Layout
from neuroamp_export.target import BOARDS, CODE_BYTES, TARGETS, Image, make_image, read_board
from neuroamp_host.cli import main
from neuroamp_host.networks.lstm import LstmNet, LstmShape
from neuroamp_host.networks.registry import build
from neuroamp_host.prescription.fit import make_fitting
from numpy.typing import NDArray

pytestmark = pytest.mark.skipif(library_path() is None, reason="the C core was not built")

WIDTHS = (24, 16)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small net of the wearable profile, as a plain `.nam` file."""
    torch.manual_seed(3)
    net = LstmNet(build("wear").profile, LstmShape(audiogram_units=5, widths=WIDTHS))
    return write_plain(net, tmp_path_factory.mktemp("plain") / "small.nam")


def write_plain(net: LstmNet, path: Path) -> Path:
    state = {key: value.numpy() for key, value in net.state_dict().items()}
    write_core_model(path, "small", "small", net.profile, FloatWeights.from_state_dict(state))
    return path


def unpack(sections: dict[int, bytes], slot: int, layout: Layout) -> NDArray[np.int32]:
    """The weights at a slot, [padded rows, padded columns], as model.h describes the layouts."""
    rows = len(sections[slot + PARTS["row_sums"]]) // 4
    data = sections[slot + PARTS["weights"]]
    columns = len(data) // rows
    weights = np.zeros((rows, columns), dtype=np.int32)
    for quad in range(0, rows, 4):
        for c in range(columns):
            for r in range(4):
                if layout is Layout.TILES:
                    place = quad * columns + c // 16 * 64 + r * 16 + c % 16
                    weights[quad + r, c] = struct.unpack_from("<b", data, place)[0]
                else:
                    words = quad * columns // 4 + c // 4 * 4
                    word = words + (c // 2 % 2) * 2 + r % 2
                    pair = struct.unpack_from("<h", data, 4 * word + 2 * (c % 2))[0]
                    lower = (pair + 128) % 256 - 128
                    weights[quad + r, c] = lower if r >= 2 else (pair - lower) // 256
    return weights


def place_of(layout: Layout, width: int, gate: int, unit: int) -> int:
    """Row of one unit's gate in a packed matrix."""
    if layout is Layout.PAIRS:
        return 4 * unit + gate
    block, rest = divmod(unit, 8)
    return 32 * block + 8 * gate + rest // 2 + 4 * (rest % 2)


@pytest.mark.parametrize("target", ["cortex-m7", "cortex-m55"])
def test_packed_matrices_hold_the_net_s_weights(plain: Path, target: str) -> None:
    weights = read_core_weights(plain)
    assert weights is not None
    layout = TARGETS[target]
    sections = read_sections(make_image(plain.read_bytes(), target, "x").model, "x")
    gates = {SLOTS["listener"]: (weights.listener, WIDTHS[0])}
    for layer, width in enumerate(WIDTHS):
        offset = layer * SLOTS_PER_LAYER
        gates[INPUT_SLOT + offset] = (weights.inputs[layer], width)
        gates[RECURRENT_SLOT + offset] = (weights.recurrents[layer], width)
    factor = 2 if layout is Layout.PAIRS else 1
    for slot, (matrix, width) in gates.items():
        order = [place_of(layout, width, g, u) for g in range(4) for u in range(width)]
        check(sections, slot, layout, matrix, order, factor)
    for slot, matrix in (
        (SLOTS["audiogram"], weights.audiogram),
        (SLOTS["output"], weights.output),
    ):
        check(sections, slot, layout, matrix, list(range(len(matrix.multipliers))), factor)


def check(
    sections: dict[int, bytes],
    slot: int,
    layout: Layout,
    matrix: IntegerMatrix,
    order: list[int],
    factor: int,
) -> None:
    found = unpack(sections, slot, layout)[order]
    columns = matrix.weights.shape[1]
    np.testing.assert_array_equal(found[:, :columns], matrix.weights)
    assert not found[:, columns:].any()
    multipliers = np.frombuffer(sections[slot + PARTS["multipliers"]], dtype="<i4")[order]
    np.testing.assert_array_equal(multipliers, factor * matrix.multipliers)
    if matrix.bias is not None:
        bias = np.frombuffer(sections[slot + PARTS["bias"]], dtype="<i4")[order]
        np.testing.assert_array_equal(bias, matrix.bias)


def test_hosts_refuse_a_packed_file(plain: Path, tmp_path: Path) -> None:
    image = make_image(plain.read_bytes(), "cortex-m7", "small.nam")
    (tmp_path / "packed.nam").write_bytes(image.model)
    with pytest.raises(NeuroampError, match="packed for a target already"):
        make_image(image.model, "cortex-m55", "packed.nam")
    fitting = make_fitting(BISGAARD["N1"], Ear.LEFT)
    with pytest.raises(NeuroampError, match="packed for another"):
        NativeChain(tmp_path / "packed.nam", fitting)


def test_helium_takes_multiples_of_eight_units(tmp_path: Path) -> None:
    net = LstmNet(build("wear").profile, LstmShape(audiogram_units=5, widths=(12,)))
    data = write_plain(net, tmp_path / "odd.nam").read_bytes()
    assert make_image(data, "cortex-m33", "odd.nam").model
    with pytest.raises(NeuroampError, match="12 units"):
        make_image(data, "cortex-m55", "odd.nam")


def test_a_board_too_small_is_refused_with_the_lack(plain: Path, tmp_path: Path) -> None:
    image = make_image(plain.read_bytes(), "cortex-m7", "small.nam")
    small = tmp_path / "small"
    small.mkdir()
    (small / "board.mk").write_text("CPU = -mcpu=cortex-m7\nTARGET = cortex-m7\n")

    def board(flash: int, ram: int) -> None:
        (small / "memory.ld").write_text(
            f"MEMORY\n{{\n  FLASH (rx) : ORIGIN = 0, LENGTH = {flash}\n"
            f"  RAM (rw) : ORIGIN = 0x20000000, LENGTH = {ram}\n}}\n"
        )

    board(image.flash_bytes, image.ram_bytes)
    image.check_fits(read_board(str(small)))
    board(image.flash_bytes - 7, image.ram_bytes)
    with pytest.raises(NeuroampError, match=r"bytes of flash .* 7 too few"):
        image.check_fits(read_board(str(small)))
    board(image.flash_bytes, image.ram_bytes - 9)
    with pytest.raises(NeuroampError, match=r"bytes of RAM .* 9 too few"):
        image.check_fits(read_board(str(small)))

    board(CODE_BYTES, image.ram_bytes)
    apart = f"  MODEL (r) : ORIGIN = 0x90000000, LENGTH = {len(image.model)}\n}}"
    (small / "memory.ld").write_text((small / "memory.ld").read_text().replace("}", apart))
    image.check_fits(read_board(str(small)))


def test_a_board_of_another_processor_is_refused(plain: Path) -> None:
    image = make_image(plain.read_bytes(), "cortex-m7", "small.nam")
    with pytest.raises(NeuroampError, match="--target cortex-m55"):
        image.check_fits(read_board("mps3-an547"))


def test_every_board_says_what_it_has() -> None:
    boards = [path.parent.name for path in BOARDS.glob("*/board.mk")]
    assert len(boards) >= 3
    for name in boards:
        assert read_board(name).flash_bytes >= 256 * 1024
    with pytest.raises(NeuroampError, match="mps2-an500"):
        read_board("nowhere")


def test_a_board_that_does_not_say_is_refused(tmp_path: Path) -> None:
    (tmp_path / "board.mk").write_text("TARGET = cortex-m0\n")
    with pytest.raises(NeuroampError, match=r"memory\.ld"):
        read_board(str(tmp_path))


def test_the_command_writes_an_image_that_the_core_takes(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["export", str(plain), "--target", "cortex-m55", "--board", "mps3-an547"]
    assert main([*options, "--out", str(tmp_path)]) == 0
    model = (tmp_path / "model.nam").read_bytes()
    assert read_sections(model, "x")[SECTIONS["layout"]] == struct.pack("<I", Layout.TILES.value)
    header = (tmp_path / "model.h").read_text()
    assert f"#define NEUROAMP_MODEL_BYTES {len(model)}\n" in header
    assert "#define NEUROAMP_HOP 32\n" in header
    assert f"{len(model) / 1000:8.1f} kB" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "cortex-m7", "--board", "nowhere"], "no board 'nowhere'"),
        (["--target", "cortex-m7", "--gain-range", "-8", "2"], "--gain-range needs a checkpoint"),
        (["--target", "cortex-m7", "--smooth-gains"], "--smooth-gains does not go with --target"),
        (["--board", "mps2-an500"], "--board goes with --target"),
        ([], "--data is missing"),
    ],
)
def test_a_mistake_is_one_sentence(
    plain: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    assert main(["export", str(plain), "--out", str(tmp_path / "out"), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_weights_are_counted_apart(plain: Path) -> None:
    image: Image = make_image(plain.read_bytes(), "cortex-m7", "small.nam")
    # Rows are padded to a multiple of 4, columns to one of 32.
    products = [8 * 32, 96 * 32, 96 * 64, 96 * 32, 64 * 32, 64 * 32, 64 * 32]
    assert image.weight_bytes == sum(products)
