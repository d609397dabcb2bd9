"""Speech and noise at the output of a hearing aid, apart: what its SNR is measured from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Sound = NDArray[np.float64]


def separate(
    process: Callable[[Sound], Sound], speech_pa: ArrayLike, noise_pa: ArrayLike
) -> tuple[Sound, Sound]:
    """Speech and noise after `process` has heard their sum; shapes as given, pascals.

    Hagerman & Olofsson (2004, 'A method to measure the effect of noise reduction algorithms
    using simultaneous speech and noise', Acta Acustica 90, 356-361): the mixture is processed
    twice, the second time with the noise inverted. Half the sum of the two outputs is the
    speech, half the difference the noise, as far as the gains of both runs agree, which they do
    where they follow levels. `process` must start from the same state both times.
    """
    speech = np.asarray(speech_pa, dtype=np.float64)
    noise = np.asarray(noise_pa, dtype=np.float64)
    with_noise = process(speech + noise)
    with_inverted_noise = process(speech - noise)
    return (with_noise + with_inverted_noise) / 2.0, (with_noise - with_inverted_noise) / 2.0


def third_octave_gain_db(
    input_pa: ArrayLike, output_pa: ArrayLike, sample_rate_hz: float, centres_hz: ArrayLike
) -> Sound:
    """Gain in dB in a third octave around each centre, shape [centres], of two sounds [samples].

    It is the ratio of the two sounds' powers in the band, so it needs them neither aligned nor
    coherent. NaN where the input has no power or the band has no room below half the rate.
    """
    source = np.abs(np.fft.rfft(np.asarray(input_pa, dtype=np.float64))) ** 2
    result = np.abs(np.fft.rfft(np.asarray(output_pa, dtype=np.float64))) ** 2
    frequencies = np.fft.rfftfreq(np.size(input_pa), 1.0 / sample_rate_hz)
    gains = []
    for centre in np.asarray(centres_hz, dtype=np.float64):
        band = (frequencies >= centre * 2 ** (-1 / 6)) & (frequencies < centre * 2 ** (1 / 6))
        power_in, power_out = float(source[band].sum()), float(result[band].sum())
        usable = power_in > 0.0 and power_out > 0.0
        gains.append(10.0 * np.log10(power_out / power_in) if usable else np.nan)
    return np.array(gains)
