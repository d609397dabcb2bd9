"""A trained enhancer on a whole recording, for evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from neuroamp.errors import NeuroampError
from numpy.typing import NDArray

from neuroamp_host.enhancement.nets import ENHANCERS, Enhancer
from neuroamp_host.training import checkpoint

MODELS = Path(__file__).resolve().parents[3] / "models"


class TrainedEnhancer:
    """An enhancer with its weights."""

    def __init__(self, net: Enhancer) -> None:
        self._net = net.eval()

    def enhance(self, sound_pa: NDArray[np.float64]) -> NDArray[np.float64]:
        """Enhanced sound [samples], pascals at 16 kHz, of noisy sound."""
        with torch.inference_mode():
            noisy = torch.from_numpy(np.asarray(sound_pa, dtype=np.float32))[np.newaxis]
            return np.asarray(self._net(noisy)[0], dtype=np.float64)


def load_enhancer(name: str) -> TrainedEnhancer:
    """The enhancer of a checkpoint, or a released one by its name in `ENHANCERS`.

    Raises:
        NeuroampError: the file is missing or damaged, or holds no enhancer.
    """
    path = MODELS / name / f"{name}.pt" if name in ENHANCERS else Path(name)
    content = checkpoint.load(path)
    if content["net"] not in ENHANCERS:
        raise NeuroampError(
            f"{path} holds the net {content['net']!r}, which is none of {', '.join(ENHANCERS)}; "
            "give a checkpoint of one of these."
        )
    net = ENHANCERS[content["net"]]()
    weights = {key: value.float() for key, value in content["state_dict"].items()}
    try:
        net.load_state_dict(weights)
    except RuntimeError:
        raise NeuroampError(
            f"the weights in {path} do not fit {content['net']!r}; use the release that trained it."
        ) from None
    return TrainedEnhancer(net)
