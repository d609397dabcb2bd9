"""The hearing aids that a table compares, each a function from noisy sound to amplified sound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from neuroamp.audiogram import Audiogram, Ear
from neuroamp.chain import EarChain
from neuroamp.engines import open_engine
from neuroamp.profile import WEAR, Profile
from numpy.typing import NDArray

from neuroamp_host.prescription.fit import make_fitting

Sound = NDArray[np.float64]
System = Callable[[Sound, Audiogram], Sound]

UNPROCESSED = "unprocessed"
NAL_R = "NAL-R"
NAL_R_WDRC = "NAL-R+WDRC"
NEUROAMP = "NeuroAMP"
ORACLE = "clean through NAL-R+WDRC"


def through(chain: EarChain, profile: Profile, sound_pa: Sound) -> Sound:
    """The chain's output for a whole recording, its delay taken off; same length."""
    delay = profile.delay_samples
    padded = np.concatenate([sound_pa, np.zeros(delay)])
    return np.asarray(chain.process(padded), dtype=np.float64)[delay:]


def systems(model: Path | None, engine: str, noise_reduction: float = 1.0) -> dict[str, System]:
    """Unprocessed, NAL-R, NAL-R+WDRC, and the net where a model file is given.

    Every one but 'unprocessed' is the device's own chain, limiter included, in the model's
    profile (`WEAR` without a model).

    Args:
        model: an exported model file.
        engine: 'onnx', 'tflite' or 'native'.
        noise_reduction: strength of the net's gains, 0 to 1.

    Raises:
        NeuroampError: the model cannot be opened.
    """
    net = None if model is None else open_engine(model, engine)
    profile = WEAR if net is None else net.info.profile

    def prescription(linear: bool) -> System:
        def system(sound_pa: Sound, audiogram: Audiogram) -> Sound:
            fitting = make_fitting(audiogram, Ear.LEFT, rule="nal-r", linear=linear)
            return through(EarChain(profile, fitting, None), profile, sound_pa)

        return system

    def neural(sound_pa: Sound, audiogram: Audiogram) -> Sound:
        assert net is not None
        net.reset()
        fitting = make_fitting(audiogram, Ear.LEFT, rule="nal-r").replace(
            noise_reduction=noise_reduction
        )
        return through(EarChain(profile, fitting, net), profile, sound_pa)

    table: dict[str, System] = {
        UNPROCESSED: lambda sound_pa, audiogram: sound_pa,
        NAL_R: prescription(linear=True),
        NAL_R_WDRC: prescription(linear=False),
    }
    if net is not None:
        table[NEUROAMP] = neural
    return table
