"""Instructions of the firmware, stage by stage, on every emulated board.

    python tools/count_instructions.py           prints the tables
    python tools/count_instructions.py --write   also stores them: docs/instructions.json and the
                                                 tables of docs/cortex-m.md

Two nets: the released wearable model, and one of the shape of the paper's LSTM with random weights
(no instruction depends on a weight's value). What is counted is all that the audio interrupt does.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from neuroamp.errors import NeuroampError
from neuroamp_host.firmware.instruction_table import (
    EMULATED_BOARDS,
    NARROW,
    NETS,
    build_net,
    build_with_narrow_states,
    measure,
    tables,
)

ROOT = Path(__file__).resolve().parents[1]
STORED = ROOT / "docs" / "instructions.json"
PAGE = ROOT / "docs" / "cortex-m.md"
BEGIN, END = "<!-- instructions -->\n", "<!-- /instructions -->\n"


def main() -> None:
    """Measures, prints, and stores where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="store the tables in docs/")
    options = parser.parse_args()
    measured: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for net in NETS:
            measured[net] = {}
            for board in EMULATED_BOARDS:
                print(f"counting {net} on {board} ...", flush=True)
                measured[net][board] = measure(build_net(board, net, Path(folder) / net / board))
        print("counting wear with states of 8 bits ...", flush=True)
        narrow = measure(build_with_narrow_states(Path(folder) / "narrow"))
        measured["wear"][NARROW] = {**narrow, "target": f"{narrow['target']}, {NARROW}"}
    text = tables(measured)
    print(text)
    if options.write:
        STORED.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
        page = PAGE.read_text(encoding="utf-8")
        if BEGIN not in page or END not in page:
            raise NeuroampError(f"{PAGE} has no place for the tables; put {BEGIN}{END} into it.")
        head, tail = page.partition(BEGIN)[0], page.partition(END)[2]
        PAGE.write_text(f"{head}{BEGIN}{text}{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
