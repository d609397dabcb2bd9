"""What the firmware executes: no more than was stored, and within the promised limits."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from neuroamp_host.firmware.build import Firmware
from neuroamp_host.firmware.instruction_table import (
    EMULATED_BOARDS,
    build_net,
    measure,
    mips,
    tables,
)

ROOT = Path(__file__).parents[2]
STORED = json.loads((ROOT / "docs/instructions.json").read_text(encoding="utf-8"))
GROWTH = 1.02
UNNOTICED = 50
"""Instructions that no one minds, in a stage that is short."""

MOST_MIPS = {"cortex-m7": 120.0, "cortex-m4": 120.0, "cortex-m55": 35.0}
MOST_A_PRODUCT = {"cortex-m7": 1.1, "cortex-m4": 1.1, "cortex-m55": 0.25}

pytestmark = [
    pytest.mark.usefixtures("emulator"),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc for the plugin"),
]


def check_growth(found: dict[str, Any], stored: dict[str, Any]) -> None:
    rows = {"frame": (found["frame"], stored["frame"])}
    rows["longest frame"] = (found["longest_frame"], stored["longest_frame"])
    rows["rest"] = (found["rest"], stored["rest"])
    assert set(found["stages"]) == set(stored["stages"])
    rows |= {name: (found["stages"][name], stored["stages"][name]) for name in stored["stages"]}
    for name, (now, before) in rows.items():
        assert now <= GROWTH * before + UNNOTICED, (
            f"{name}: {now} instructions, {before} were stored; "
            "if it is worth it: python tools/count_instructions.py --write"
        )


@pytest.mark.parametrize("board", EMULATED_BOARDS)
def test_the_wear_model_s_firmware(firmware: Callable[[str], Firmware], board: str) -> None:
    found = measure(firmware(board))
    check_growth(found, STORED["wear"][board])
    assert mips(found) <= MOST_MIPS[found["target"]]
    assert found["stages"]["net"] / found["products"] <= MOST_A_PRODUCT[found["target"]]
    assert found["rest"] > 0
    assert found["calls"]["net"] == 0.5


def test_the_paper_s_lstm(firmware: Callable[[str], Firmware], tmp_path: Path) -> None:
    firmware("mps3-an547")  # skips where there is no compiler
    found = measure(build_net("mps3-an547", "paper-lstm", tmp_path))
    check_growth(found, STORED["paper-lstm"]["mps3-an547"])


def test_counts_are_the_same_every_time(firmware: Callable[[str], Firmware]) -> None:
    assert measure(firmware(EMULATED_BOARDS[0])) == measure(firmware(EMULATED_BOARDS[0]))


def test_the_page_shows_what_is_stored() -> None:
    page = (ROOT / "docs/cortex-m.md").read_text(encoding="utf-8")
    assert tables(STORED) in page
