"""The mean of two checkpoints' weights, a share of the way from the first to the second.

    python tools/mean_of_checkpoints.py runs/first/best.pt runs/second/last.pt runs/mean.pt

For a run and one that began with its weights: such nets lie near enough to each other that the mean
is a net between them, in what it does to speech and to music too (docs/search.md). A run begins
with it by its config's `start`, and `neuroamp export` takes it like any checkpoint.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from neuroamp.errors import NeuroampError
from neuroamp_host.training import checkpoint


def mean_of(first: Path, second: Path, share: float = 0.5) -> dict[str, Any]:
    """A checkpoint of the mean; all but the weights is the second's.

    Args:
        first: a checkpoint.
        second: another of the same net.
        share: of the second's weights, 0 to 1; the first has the rest.

    Raises:
        NeuroampError: a file is no checkpoint, the nets differ, or the share is out of range.
    """
    if not 0.0 <= share <= 1.0:
        raise NeuroampError(f"the share is {share:g} but must be from 0 to 1; correct it.")
    contents = [checkpoint.load(path) for path in (first, second)]
    shapes = [
        (content["net"], {key: value.shape for key, value in content["state_dict"].items()})
        for content in contents
    ]
    if shapes[0] != shapes[1]:
        raise NeuroampError(
            f"{first} holds the net {contents[0]['net']!r} and {second} holds "
            f"{contents[1]['net']!r}, or of another size; give two checkpoints of the same net."
        )
    own, other = (content["state_dict"] for content in contents)
    mean = {key: own[key] + share * (other[key] - own[key]) for key in own}
    kept = {key: contents[1][key] for key in ("net", "config", "step") if key in contents[1]}
    return kept | {"state_dict": mean}


def main() -> int:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("first", type=Path, help="a checkpoint")
    parser.add_argument("second", type=Path, help="another one of the same net")
    parser.add_argument("out", type=Path, help="checkpoint to write")
    parser.add_argument("--share", type=float, default=0.5, help="of the second's weights (0.5)")
    options = parser.parse_args()
    try:
        checkpoint.save(options.out, mean_of(options.first, options.second, options.share))
    except NeuroampError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
