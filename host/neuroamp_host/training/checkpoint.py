"""Checkpoints: everything a run needs to go on, written so that a torn write loses nothing."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch
from neuroamp.errors import NeuroampError
from neuroamp.profile import smoothed

from neuroamp_host.networks.net import Net
from neuroamp_host.networks.registry import NETS, build


def save(path: Path, content: dict[str, Any]) -> None:
    """Writes a checkpoint beside its place and moves it there when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(path.suffix + ".partial")
    with partial.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def load(path: Path) -> dict[str, Any]:
    """A checkpoint's content: at least 'net' (a name of `NETS`) and 'state_dict'.

    Raises:
        NeuroampError: the file is missing, damaged, or not a checkpoint of this project.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise NeuroampError(
            f"cannot read the checkpoint {path} ({error.strerror}); "
            "give a file that `neuroamp train` wrote."
        ) from None
    except (RuntimeError, EOFError, pickle.UnpicklingError, ValueError, KeyError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:120]
        raise NeuroampError(
            f"{path} is no whole checkpoint ({reason}); give a file that `neuroamp train` wrote."
        ) from None
    if not isinstance(content, dict) or not {"net", "state_dict"} <= set(content):
        raise NeuroampError(
            f"{path} holds no net and weights; give a file that `neuroamp train` wrote."
        )
    return content


def load_net(path: Path) -> Net:
    """The net of a checkpoint with its weights, and the profile it was trained for, to evaluate.

    Raises:
        NeuroampError: see `load`; or the net is unknown, or its weights have other shapes.
    """
    content = load(path)
    if content["net"] not in NETS:
        raise NeuroampError(
            f"{path} holds the net {content['net']!r} but this release knows {', '.join(NETS)}; "
            "use the release that trained it."
        )
    net = build(content["net"], content.get("config", {}).get("causal", True))
    try:
        net.load_state_dict(content["state_dict"])
    except RuntimeError:
        raise NeuroampError(
            f"the weights in {path} do not fit the net {content['net']!r}; "
            "use the release that trained it."
        ) from None
    if content.get("config", {}).get("smooth_gains", False):
        net.profile = smoothed(net.profile)
    return net.eval()
