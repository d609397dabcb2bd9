"""The noise that HASPI, HASQI and HAAQI add to the ear model's output, made repeatable.

The published metrics add Gaussian noise 10 dB below the threshold (20 micropascals) to the
basilar-membrane motion and, in HASPI, of 0.1 dB to the envelopes. It decides what an inaudible
processed signal is worth: without it, two envelopes that both stay below the threshold could still
correlate perfectly. So the noise belongs to the metric, and only its being random does not: here
it is a function of a seed, the same one that pyclarity adds after `np.random.seed(seed)`, value
for value.

By the time it is added the motion is a number of dB above threshold, yet the noise keeps its size
in the signal's unit, as published. Scores of signals in another unit than pascals therefore differ
by some 1e-4, with the right `level1` too.
"""

from functools import lru_cache

import numpy as np
from neuroamp.units import REFERENCE_PRESSURE_PA
from numpy.typing import NDArray

from neuroamp_host.evaluation.metrics.ear_model import N_BANDS

_MOTION_NOISE_DB_SL = -10.0
_ENVELOPE_NOISE_DB = 0.1


@lru_cache(maxsize=2)
def _motion_noise_and_state(seed: int, n_samples: int) -> tuple[NDArray[np.float32], dict]:
    """Noise for reference and processed motion, and the generator's state after it.

    Cached because it depends on the length alone: one utterance is scored for many audiograms.
    """
    generator = np.random.RandomState(seed)
    scale = REFERENCE_PRESSURE_PA * 10.0 ** (_MOTION_NOISE_DB_SL / 20.0)
    noise = np.empty((2, N_BANDS, n_samples), dtype=np.float32)
    for row in noise.reshape(-1, n_samples):
        row[:] = scale * generator.standard_normal(n_samples)
    return noise, generator.get_state(legacy=False)


def motion_noise(seed: int, n_samples: int) -> NDArray[np.float32]:
    """Noise of the reference's and of the processed motion in pascals, [2, 32, n]."""
    return _motion_noise_and_state(seed, n_samples)[0]


def envelope_noise(seed: int, n_samples: int, n_frames: int) -> NDArray[np.float64]:
    """Noise of the reference's and of the processed envelopes in dB, [2, 32, frames].

    HASPI draws it after the motion's noise of a signal of `n_samples`.
    """
    generator = np.random.RandomState()
    generator.set_state(_motion_noise_and_state(seed, n_samples)[1])
    noise = _ENVELOPE_NOISE_DB * generator.standard_normal((2, n_frames, N_BANDS))
    return noise.transpose(0, 2, 1)
