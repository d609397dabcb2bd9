"""The hearing aids that a table compares, each a function from noisy sound to amplified sound."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from neuroamp.audiogram import Audiogram, Ear
from neuroamp.chain import EarChain
from neuroamp.engines import open_engine
from neuroamp.engines.native import NativeChain
from neuroamp.fitting import Fitting
from neuroamp.profile import WEAR, Profile
from numpy.typing import ArrayLike, NDArray

from neuroamp_host.evaluation.rnnoise import denoise
from neuroamp_host.prescription.fit import make_fitting

Sound = NDArray[np.float64]
System = Callable[[Sound, Audiogram], Sound]

UNPROCESSED = "unprocessed"
NAL_R = "NAL-R"
NAL_R_WDRC = "NAL-R+WDRC"
NEUROAMP = "NeuroAMP"
AT_EQUAL_LEVEL = "NeuroAMP at the level of NAL-R+WDRC"
PEER = "RNNoise, then NAL-R+WDRC"
ORACLE = "clean through NAL-R+WDRC"


class Chain(Protocol):
    """One ear's chain, in numpy or in C."""

    def process(self, block_pa: ArrayLike) -> NDArray[np.floating]:
        """The next samples, pascals, [samples]."""
        ...


def through(chain: Chain, profile: Profile, sound_pa: Sound) -> Sound:
    """The chain's output for a whole recording, its delay taken off; same length."""
    delay = profile.delay_samples
    padded = np.concatenate([sound_pa, np.zeros(delay)])
    return np.asarray(chain.process(padded), dtype=np.float64)[delay:]


def systems(
    model: Path | None, engine: str, noise_reduction: float = 1.0, peers: bool = False
) -> dict[str, System]:
    """Unprocessed, NAL-R, NAL-R+WDRC, and the net where a model file is given.

    Every one but 'unprocessed' is the device's own chain, limiter included, in the model's
    profile (`WEAR` without a model).

    Args:
        model: an exported model file.
        engine: 'native' (the whole chain in C), 'onnx' or 'tflite'.
        noise_reduction: strength of the net's gains, 0 to 1.
        peers: with the peer denoiser, where its package (extra 'peers') is installed.

    Raises:
        NeuroampError: the model cannot be opened.
    """
    if model is not None and engine == "native":
        profile = NativeChain(model, _flat()).profile

        def chain(fitting: Fitting, with_net: bool) -> Chain:
            return NativeChain(model, fitting if with_net else fitting.replace(noise_reduction=0.0))
    else:
        net = None if model is None else open_engine(model, engine)
        profile = WEAR if net is None else net.info.profile

        def chain(fitting: Fitting, with_net: bool) -> Chain:
            if with_net and net is not None:
                net.reset()
            return EarChain(profile, fitting, net if with_net else None)

    def aid(linear: bool = False, with_net: bool = False) -> System:
        def system(sound_pa: Sound, audiogram: Audiogram) -> Sound:
            fitting = make_fitting(
                audiogram, Ear.LEFT, "nal-r", linear, noise_reduction=noise_reduction
            )
            return through(chain(fitting, with_net), profile, sound_pa)

        return system

    prescription = aid()
    table: dict[str, System] = {
        UNPROCESSED: lambda sound_pa, audiogram: sound_pa,
        NAL_R: aid(linear=True),
        NAL_R_WDRC: prescription,
    }
    if peers and importlib.util.find_spec("pyrnnoise") is not None:
        table[PEER] = lambda sound_pa, audiogram: prescription(denoise(sound_pa), audiogram)
    if model is not None:
        table[NEUROAMP] = aid(with_net=True)
    return table


def _flat() -> Fitting:
    """Any fitting: to open a model file and read its profile."""
    return make_fitting(Audiogram((250.0, 8000.0), (0.0, 0.0), (False, False)), Ear.LEFT)
