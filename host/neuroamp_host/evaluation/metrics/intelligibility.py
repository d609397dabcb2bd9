"""HASPI v2: envelope modulation fidelity, and the network that makes intelligibility of it.

Kates and Arehart, "The Hearing-Aid Speech Perception Index (HASPI) version 2", Speech
Communication 131 (2021) 35-46. The reference is heard by a normal ear, unamplified; the processed
signal by the impaired ear.
"""

import numpy as np
from clarity.evaluator.haspi.ip import get_neural_net
from numba import njit
from numpy.typing import NDArray

from neuroamp_host.evaluation.metrics.alignment import BandReference
from neuroamp_host.evaluation.metrics.cepstral import CepstralReference, audible_frames
from neuroamp_host.evaluation.metrics.dither import envelope_noise
from neuroamp_host.evaluation.metrics.ear_model import (
    N_BANDS,
    SAMPLE_RATE_HZ,
    BandResponse,
    Cochlea,
    adapted,
    band_response,
    group_delay_corrections,
    middle_ear,
)
from neuroamp_host.evaluation.metrics.results import HaspiResult

Array = NDArray[np.float64]

_LOWPASS_HZ = 320.0
_DECIMATION = int(SAMPLE_RATE_HZ / (8.0 * _LOWPASS_HZ))  # 9: a frame rate of 2667 Hz ...
_MODULATION_RATE_HZ = 8.0 * _LOWPASS_HZ  # ... which the filters take for 2560 Hz, as published
_MODULATION_CENTRES_HZ = np.array([2.0, 6.0, 10.0, 16.0, 25.0, 40.0, 64.0, 100.0, 160.0, 256.0])
_LONGEST_FILTER_S = 0.24


def _envelope_lowpass() -> Array:
    """Von Hann low-pass of the envelopes, -3 dB at about 320 Hz, even length, sum 1."""
    length = 2 * (round(0.7 / _LOWPASS_HZ * SAMPLE_RATE_HZ) // 2)
    window = np.hanning(length + 2)[1:-1]
    return window / np.sum(window)


def _modulation_filters() -> list[Array]:
    """Ten linear-phase filters: a low-pass and nine band-passes of 1.5 in Q above 10 Hz.

    Demodulation, low-pass and modulation back, as published, are one band-pass: the low-pass's
    taps times twice the cosine of the centre frequency.
    """
    filters = []
    for index, centre_hz in enumerate(_MODULATION_CENTRES_HZ):
        length_s = _LONGEST_FILTER_S * min(1.0, _MODULATION_CENTRES_HZ[2] / centre_hz)
        half = int(length_s * _MODULATION_RATE_HZ / 2)
        window = np.hanning(2 * half + 1)
        taps = window / np.sum(window)
        if index > 0:
            n = np.arange(-half, half + 1)
            taps = taps * 2.0 * np.cos(2.0 * np.pi * centre_hz / _MODULATION_RATE_HZ * n)
        filters.append(taps)
    return filters


_LOWPASS = _envelope_lowpass()
_FILTERS = _modulation_filters()
_, _HIDDEN, _OUT, _LARGEST_OUTPUT = get_neural_net()
_HIDDEN_WEIGHTS = np.stack(_HIDDEN)  # [10 networks, 1 + 10 inputs, 4 hidden]
_OUTPUT_WEIGHTS = np.stack(_OUT)[:, :, 0]  # [10 networks, 1 + 4 hidden]


class HaspiReference:
    """The reference as a normal ear hears it, ready to be compared."""

    def __init__(self, reference: Array, dither_seed: int | None) -> None:
        """Run the reference through a normal ear.

        Args:
            reference: pascals at 24 kHz, trimmed, [n].
            dither_seed: of the metric's noise; None for none.

        Raises:
            ValueError: when fewer than two frames are audible to a normal ear.
        """
        signal = middle_ear(reference)
        normal = Cochlea.of(np.zeros(6))
        responses = [band_response(signal, normal, band) for band in range(N_BANDS)]
        self._alignments = [BandReference.of(response.envelope) for response in responses]
        self._corrections = group_delay_corrections(np.array([r.bandwidth for r in responses]))
        levels = np.stack(
            [
                _lowpassed(adapted(response.level_db_sl, 0, correction), _LOWPASS)
                for response, correction in zip(responses, self._corrections, strict=True)
            ]
        )
        frames = audible_frames(levels)
        if frames.size < 2:
            raise ValueError("the reference is below the normal threshold")
        self._processed_noise: Array | float = 0.0
        self._frames = frames
        if dither_seed is not None:
            noise = envelope_noise(dither_seed, reference.size, frames.size)
            levels[:, frames] += noise[0]
            self._processed_noise = noise[1]
        self._comparison = CepstralReference(levels, frames, _FILTERS)

    def processed_levels(
        self, band: int, response: BandResponse, spectra: NDArray[np.complex128]
    ) -> Array:
        """Aligned, adapted and smoothed level of one processed band, dB SL, [frames].

        Args:
            band: 0 to 31.
            response: the impaired ear's response in that band.
            spectra: `block_spectra` of its envelope.
        """
        delay = self._alignments[band].delay_of(spectra)
        return _lowpassed(adapted(response.level_db_sl, delay, self._corrections[band]), _LOWPASS)

    def score(self, levels: Array) -> HaspiResult:
        """HASPI from the processed levels of all bands, [32, frames], which are changed."""
        levels[:, self._frames] += self._processed_noise
        correlation = np.mean(self._comparison.correlation(levels), axis=1)
        inputs = np.concatenate(([1.0], correlation))
        hidden = 1.0 / (1.0 + np.exp(-np.einsum("i,nih->nh", inputs, _HIDDEN_WEIGHTS)))
        weighted = _OUTPUT_WEIGHTS[:, 0] + np.sum(_OUTPUT_WEIGHTS[:, 1:] * hidden, axis=1)
        outputs = 1.0 / (1.0 + np.exp(-weighted))
        return HaspiResult(float(np.mean(outputs)) / _LARGEST_OUTPUT, correlation)


@njit(cache=True, error_model="numpy", fastmath={"contract", "reassoc"})
def _lowpassed(level, taps):  # type: ignore[no-untyped-def]
    """The low-passed level at every ninth sample, [ceil(n / 9)]."""
    padded = np.zeros(level.size + taps.size)
    padded[taps.size // 2 - 1 : taps.size // 2 - 1 + level.size] = level
    out = np.empty((level.size + _DECIMATION - 1) // _DECIMATION)
    for frame in range(out.size):
        # A slice, so that the compiler knows that no index is negative and vectorises the sum.
        span = padded[frame * _DECIMATION : frame * _DECIMATION + taps.size]
        total = 0.0
        for k in range(taps.size):
            total += taps[k] * span[k]
        out[frame] = total
    return out
