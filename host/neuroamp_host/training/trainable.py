"""Everything that `neuroamp train` trains, by name."""

from __future__ import annotations

from neuroamp_host.enhancement.nets import ENHANCERS, Enhancer
from neuroamp_host.networks.net import Net
from neuroamp_host.networks.registry import build


def build_any(name: str, causal: bool = True) -> Net | Enhancer:
    """A freshly initialised net or enhancer; seed torch first for a reproducible start.

    Raises:
        NeuroampError: see `neuroamp_host.networks.registry.build`.
    """
    return ENHANCERS[name]() if name in ENHANCERS else build(name, causal)
