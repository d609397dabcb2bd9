"""The ear model that HASPI, HASQI and HAAQI share: from sound pressure to what the nerve is sent.

Kates and Arehart, "The Hearing-Aid Speech Perception Index (HASPI) version 2", Speech
Communication 131 (2021), and "The Hearing-Aid Speech Quality Index (HASQI) version 2", J. Audio
Eng. Soc. 62 (2014). The signal goes at 24 kHz through a middle ear and 32 gammatone bands from 80
to 8000 Hz. In each band a wider control filter drives the compression of the outer hair cells; the
compressed envelope is attenuated by the loss of the inner hair cells, expressed in dB above the
threshold (dB SL), and adapts as the inner hair cells do. A hearing loss widens the filters, takes
away compression and attenuates.

Signals are in pascals, and 0 dB SPL counts as the normal threshold in every band, as published.
Arrays are float64 with one row a band, from low to high. The order of the arithmetic in the
recursive filters is that of a transposed direct form II, because their quadruple poles near z = 1
make another order differ in the eighth digit, which can move an alignment by a sample.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from neuroamp.audiogram import STANDARD_FREQUENCIES_HZ
from neuroamp.units import REFERENCE_PRESSURE_PA
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy.signal import butter, cheby2, lfilter, resample_poly

from neuroamp_host.vector_math import fast_exp, fast_log

Array = NDArray[np.float64]

SAMPLE_RATE_HZ = 24_000.0
N_BANDS = 32
AUDIBLE_DB_SL = 2.5
"""Segments of the reference softer than this take no part in a score."""

_EAR_Q, _MIN_ERB_HZ = 9.26449, 24.7  # ERB of Moore and Glasberg (1983) as used by Slaney (1993)
_LOWEST_CENTRE_HZ, _HIGHEST_CENTRE_HZ = 80.0, 8000.0
_COMPRESSION_END_DB_SPL = 100.0
_TINY = 1e-30
_DB_PER_LOG = 20.0 / np.log(10.0)
_DB_SPL_OF_UNIT_RMS = -20.0 * np.log10(REFERENCE_PRESSURE_PA)


def band_centres_hz() -> Array:
    """Centre frequencies of the 32 bands, equally spaced on the ERB scale, [32]."""
    edge = _EAR_Q * _MIN_ERB_HZ
    low, high = np.log(_LOWEST_CENTRE_HZ + edge), np.log(_HIGHEST_CENTRE_HZ + edge)
    steps = np.arange(N_BANDS - 1, -1, -1) / (N_BANDS - 1)
    return np.exp(steps * (low - high)) * (_HIGHEST_CENTRE_HZ + edge) - edge


@dataclass(frozen=True)
class Cochlea:
    """What a hearing loss does to each band; every field is [32].

    Attributes:
        ohc_loss_db: attenuation by lost outer hair cells (amplification that is missing).
        ihc_loss_db: attenuation by lost inner hair cells.
        bandwidth: of the auditory filter, relative to a normal ear at low level.
        knee_db_spl: where compression begins.
        compression_ratio: dB of input per dB of output above the knee, 1 to 3.5.
    """

    ohc_loss_db: Array
    ihc_loss_db: Array
    bandwidth: Array
    knee_db_spl: Array
    compression_ratio: Array

    @classmethod
    def of(cls, thresholds_db_hl: Array) -> "Cochlea":
        """The cochlea with these thresholds in dB HL at the six audiometric frequencies, [6].

        Of a loss, 80 % is given to the outer hair cells until they are gone (Moore et al. 1999),
        the rest to the inner ones.
        """
        loss = np.maximum(
            np.interp(band_centres_hz(), STANDARD_FREQUENCIES_HZ, thresholds_db_hl), 0.0
        )
        normal_ratio = 1.25 + 2.25 * np.arange(N_BANDS) / (N_BANDS - 1)
        all_ohc_lost_db = 1.25 * 70.0 * (1.0 - 1.0 / normal_ratio)
        shared_loss = np.minimum(loss, all_ohc_lost_db)
        ohc_loss = 0.8 * shared_loss
        knee = 30.0 + ohc_loss
        output_at_100_db = 30.0 + 70.0 / normal_ratio
        return cls(
            ohc_loss_db=ohc_loss,
            ihc_loss_db=0.2 * shared_loss + (loss - shared_loss),
            bandwidth=1.0 + ohc_loss / 50.0 + 2.0 * (ohc_loss / 50.0) ** 6,
            knee_db_spl=knee,
            compression_ratio=(100.0 - knee) / (output_at_100_db + ohc_loss - knee),
        )


CENTRE_HZ = band_centres_hz()
WIDEST_BANDWIDTH = Cochlea.of(np.full(6, 100.0)).bandwidth
"""Bandwidth of the control filters: that of an ear without outer hair cells, [32]."""


def resample_to_24_khz(signal: Array, sample_rate_hz: float) -> Array:
    """The signal at 24 kHz with its level kept (for rates above 24 kHz, that below 10.5 kHz).

    The rate is taken to the nearest kHz, as the published code does (44.1 kHz counts as 44).
    """
    target_khz, source_khz = round(SAMPLE_RATE_HZ / 1000), round(sample_rate_hz / 1000)
    if source_khz == target_khz:
        return signal
    resampled = resample_poly(signal, target_khz, source_khz)
    before, after = signal, resampled
    if source_khz > target_khz:
        before = lfilter(*cheby2(7, 30, 21 / source_khz), signal)
        after = lfilter(*cheby2(7, 30, 21 / target_khz), resampled)
    power = np.mean(after**2)
    return resampled * np.sqrt(np.mean(before**2) / power) if power > 0 else resampled


_MIDDLE_EAR_LOWPASS = butter(1, 5000 / (0.5 * SAMPLE_RATE_HZ))
_MIDDLE_EAR_HIGHPASS = butter(2, 350 / (0.5 * SAMPLE_RATE_HZ), "high")
_OVERSHOOT = 2.0  # of an onset's adaptation over the steady state
_GAIN_LOWPASS = butter(1, 800 / (0.5 * SAMPLE_RATE_HZ))  # 0.2 ms of delay in the gain


def middle_ear(signal: Array) -> Array:
    """Low-pass at 5 kHz and high-pass at 350 Hz: roughly the threshold's shape over frequency."""
    return lfilter(*_MIDDLE_EAR_HIGHPASS, lfilter(*_MIDDLE_EAR_LOWPASS, signal))


class BandResponse(NamedTuple):
    """One band's response before alignment and adaptation.

    Attributes:
        envelope: compressed envelope in pascals, [n].
        motion: compressed basilar-membrane motion in pascals, [n].
        level_db_sl: the envelope in dB above threshold, 0 or more, [n].
        bandwidth: that this band's filter took at this signal's level, relative to normal.
        average_db_sl: of the whole signal in this band, dB above threshold, 0 or more.
    """

    envelope: Array
    motion: Array
    level_db_sl: Array
    bandwidth: float
    average_db_sl: float


def band_response(signal: Array, cochlea: Cochlea, band: int) -> BandResponse:
    """Response of one band to a signal after the middle ear, pascals at 24 kHz, [n]."""
    centre = CENTRE_HZ[band]
    knee_db = cochlea.knee_db_spl[band]
    slope = 1.0 - 1.0 / cochlea.compression_ratio[band]

    control_power, control_mean_square = _control_power(
        signal, centre, _pole(centre, WIDEST_BANDWIDTH[band])
    )
    bandwidth = _bandwidth_at_level(
        _db_spl(np.sqrt(control_mean_square)), cochlea.bandwidth[band], WIDEST_BANDWIDTH[band]
    )
    gain = _compression_gain(
        control_power,
        _pascal(knee_db) ** 2,
        _pascal(max(_COMPRESSION_END_DB_SPL, knee_db)) ** 2,
        0.5 * slope,
        10.0 ** (-cochlea.ohc_loss_db[band] / 20.0),
    )
    envelope, motion, mean_square = _compressed_response(
        signal, gain, centre, _pole(centre, bandwidth), _GAIN_LOWPASS[0][0], _GAIN_LOWPASS[1][1]
    )
    level = _level_db_sl(envelope, _DB_SPL_OF_UNIT_RMS - cochlea.ihc_loss_db[band])

    control_db = np.clip(_db_spl(np.sqrt(control_mean_square)), knee_db, _COMPRESSION_END_DB_SPL)
    loss_db = cochlea.ohc_loss_db[band] + cochlea.ihc_loss_db[band]
    average = max(_db_spl(np.sqrt(mean_square)), 0.0) - (control_db - knee_db) * slope - loss_db
    return BandResponse(envelope, motion, level, bandwidth, max(float(average), 0.0))


def group_delay_corrections(bandwidths: Array) -> NDArray[np.int64]:
    """Samples by which each band is delayed so that all are as late as the latest, [32].

    The delay of a band's filter at its centre: of a fourfold pole a and a double zero at -2a.
    """
    pole = _pole(CENTRE_HZ, bandwidths)
    delay = np.rint(4.0 * pole / (1.0 + 2.0 * pole) + 4.0 * pole / (1.0 - pole)).astype(np.int64)
    return delay.max() - delay


def _pole(centre_hz: ArrayLike, bandwidth: ArrayLike) -> Array:
    """Pole of the gammatone low-pass, demodulated to 0 Hz (impulse invariance).

    `bandwidth` is relative to the equivalent rectangular bandwidth of a normal ear at low level.
    """
    erb_hz = _MIN_ERB_HZ + np.asarray(centre_hz) / _EAR_Q
    return np.exp(-(np.asarray(bandwidth) * (2 * np.pi / SAMPLE_RATE_HZ) * erb_hz * 1.019))


def _db_spl(rms_pa: float) -> float:
    return _DB_SPL_OF_UNIT_RMS + 20.0 * float(np.log10(max(rms_pa, _TINY)))


def _pascal(level_db_spl: float) -> float:
    return 10.0 ** ((level_db_spl - _DB_SPL_OF_UNIT_RMS) / 20.0)


def _bandwidth_at_level(level_db_spl: float, narrow: float, wide: float) -> float:
    """Auditory filters widen with level, from 50 to 100 dB SPL."""
    return narrow + float(np.clip((level_db_spl - 50.0) / 50.0, 0.0, 1.0)) * (wide - narrow)


@njit(cache=True, error_model="numpy", inline="always")
def _gammatone(pole):  # type: ignore[no-untyped-def]
    """Coefficients b1, b2, a1, a2, a3, a4 and gain of (1 + 2p/z)^2 / (1 - p/z)^4 with pole p.

    The gain makes the response 2 at 0 Hz, where the envelope of a sine is its amplitude.
    """
    b1, b2 = 4.0 * pole, 4.0 * pole * pole
    a1, a2 = 4.0 * pole, -6.0 * pole * pole
    a3, a4 = 4.0 * pole * pole * pole, -pole * pole * pole * pole
    return b1, b2, a1, a2, a3, a4, 2.0 * (1.0 - pole) ** 4 / (1.0 + 2.0 * pole) ** 2


@njit(cache=True, error_model="numpy")
def _control_power(signal, centre_hz, pole):  # type: ignore[no-untyped-def]
    """Squared envelope of a gammatone band, [n], and its mean.

    The signal is shifted down by the centre frequency, and its real (r) and imaginary (i) part
    pass the filter of `_gammatone`; r0 to r3 and i0 to i3 are its memory.
    """
    b1, b2, a1, a2, a3, a4, gain = _gammatone(pole)
    step_cos, step_sin = (
        np.cos(2 * np.pi / SAMPLE_RATE_HZ * centre_hz),
        np.sin(2 * np.pi / SAMPLE_RATE_HZ * centre_hz),
    )
    carrier_cos, carrier_sin = 1.0, 0.0
    r0 = r1 = r2 = r3 = i0 = i1 = i2 = i3 = 0.0
    power = np.empty_like(signal)
    total = 0.0
    for n in range(signal.size):
        x = signal[n] * carrier_cos
        y = r0 + x
        r0 = r1 + x * b1 + y * a1
        r1 = r2 + x * b2 + y * a2
        r2 = r3 + y * a3
        r3 = y * a4
        u = signal[n] * carrier_sin
        v = i0 + u
        i0 = i1 + u * b1 + v * a1
        i1 = i2 + u * b2 + v * a2
        i2 = i3 + v * a3
        i3 = v * a4
        power[n] = gain * gain * (y * y + v * v)
        total += power[n]
        carrier_cos, carrier_sin = (
            carrier_cos * step_cos + carrier_sin * step_sin,
            carrier_sin * step_cos - carrier_cos * step_sin,
        )
    return power, total / signal.size


@njit(cache=True, error_model="numpy", fastmath={"contract", "nnan"})
def _compression_gain(power, low, high, exponent, gain_below):  # type: ignore[no-untyped-def]
    """Outer hair cells' gain: `gain_below` up to power `low`, falling by `exponent` to `high`."""
    gain = np.empty_like(power)
    log_low = np.log(low)
    for n in range(power.size):
        log_ratio = fast_log(min(max(power[n], low), high)) - log_low
        gain[n] = gain_below * fast_exp(-exponent * log_ratio)
    return gain


@njit(cache=True, error_model="numpy")
def _compressed_response(  # type: ignore[no-untyped-def]
    signal, gain, centre_hz, pole, lowpass_b, lowpass_a
):
    """Envelope and motion of a gammatone band under a smoothed gain, [n] each.

    Also the mean square of the envelope before the gain. The filter is that of `_control_power`.
    """
    b1, b2, a1, a2, a3, a4, filter_gain = _gammatone(pole)
    step_cos, step_sin = (
        np.cos(2 * np.pi / SAMPLE_RATE_HZ * centre_hz),
        np.sin(2 * np.pi / SAMPLE_RATE_HZ * centre_hz),
    )
    carrier_cos, carrier_sin = 1.0, 0.0
    r0 = r1 = r2 = r3 = i0 = i1 = i2 = i3 = 0.0
    gain_memory = 0.0
    envelope = np.empty_like(signal)
    motion = np.empty_like(signal)
    total = 0.0
    for n in range(signal.size):
        x = signal[n] * carrier_cos
        y = r0 + x
        r0 = r1 + x * b1 + y * a1
        r1 = r2 + x * b2 + y * a2
        r2 = r3 + y * a3
        r3 = y * a4
        u = signal[n] * carrier_sin
        v = i0 + u
        i0 = i1 + u * b1 + v * a1
        i1 = i2 + u * b2 + v * a2
        i2 = i3 + v * a3
        i3 = v * a4
        smooth_gain = lowpass_b * gain[n] + gain_memory
        gain_memory = lowpass_b * gain[n] - lowpass_a * smooth_gain
        magnitude = filter_gain * np.sqrt(y * y + v * v)
        total += magnitude * magnitude
        envelope[n] = smooth_gain * magnitude
        motion[n] = smooth_gain * (filter_gain * (y * carrier_cos + v * carrier_sin))
        carrier_cos, carrier_sin = (
            carrier_cos * step_cos + carrier_sin * step_sin,
            carrier_sin * step_cos - carrier_cos * step_sin,
        )
    return envelope, motion, total / signal.size


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def _level_db_sl(envelope, unit_db_sl):  # type: ignore[no-untyped-def]
    """Envelope in dB above threshold, where an envelope of 1 Pa has `unit_db_sl`."""
    level = np.empty_like(envelope)
    for n in range(envelope.size):
        level[n] = max(unit_db_sl + _DB_PER_LOG * fast_log(envelope[n] + _TINY), 0.0)
    return level


def _adaptation_modes() -> tuple[Array, Array]:
    """Poles of the inner hair cells' adaptation and the weight of each in its output, [2], [2].

    The published circuit of three resistors and two capacitors, with time constants of 2 ms
    (rapid) and 60 ms (short-term), in backward differences: capacitor
    voltages v obey system @ v[n] = [r2 x[n], 0] + memory * v[n - 1]; the output is
    (x - v[0]) / r1. The eigenvectors of v's recursion make two one-pole filters of it.
    """
    rapid_s, short_term_s = 0.002, 0.060
    r1 = 1.0 / _OVERSHOOT
    r2 = r3 = 0.5 * (1.0 - r1)
    c1 = rapid_s * (r1 + r2) / (r1 * r2)
    c2 = short_term_s / ((r1 + r2) * r3)
    memory = SAMPLE_RATE_HZ * np.array([r1 * r2 * c1, r2 * r3 * c2])
    system = np.array([[r1 + r2 + memory[0], -r1], [-r3, r2 + r3 + memory[1]]])
    poles, vectors = np.linalg.eig(np.linalg.solve(system, np.diag(memory)))
    drive = np.linalg.solve(vectors, np.linalg.solve(system, np.array([r2, 0.0])))
    return poles, vectors[0] * drive / r1


_POLES, _WEIGHTS = _adaptation_modes()
_POLE_0, _POLE_1 = (float(pole) for pole in _POLES)
_WEIGHT_0, _WEIGHT_1 = (float(weight) for weight in _WEIGHTS)


@njit(cache=True, error_model="numpy", fastmath={"contract", "nnan"})
def adapted(level_db_sl, delay, correction):  # type: ignore[no-untyped-def]
    """Level after the inner hair cells' adaptation, dB SL, 0 or more, [n].

    The level is first moved earlier by `delay` samples (later where negative); the result is
    moved later by `correction` (0 or more). What is moved in is zero.
    """
    n_samples = level_db_sl.size
    moved = delay - correction
    out = np.zeros_like(level_db_sl)
    # Until the first sound all is zero; after the last, the output of a falling input is zero too.
    first = max(correction, -moved)
    last = min(n_samples, n_samples - moved)
    mode_0, mode_1 = 0.0, 0.0
    for n in range(first, last):
        level = level_db_sl[n + moved]
        mode_0 = _POLE_0 * mode_0 + _WEIGHT_0 * level
        mode_1 = _POLE_1 * mode_1 + _WEIGHT_1 * level
        out[n] = max(_OVERSHOOT * level - mode_0 - mode_1, 0.0)
    return out


@njit(cache=True, error_model="numpy")
def adapted_motion(  # type: ignore[no-untyped-def]
    motion, motion_delay, envelope, envelope_delay, adapted_db_sl, correction
):
    """Basilar-membrane motion whose envelope is `adapted_db_sl`, [n].

    Motion and envelope are moved earlier by their own delays, and then, as `adapted_db_sl` was,
    later by `correction`. What is moved in is zero.
    """
    n_samples = motion.size
    out = np.zeros_like(motion)
    for n in range(correction, n_samples):
        source = n - correction + motion_delay
        if 0 <= source < n_samples:
            moved = motion[source]
            source = n - correction + envelope_delay
            magnitude = envelope[source] if 0 <= source < n_samples else 0.0
            out[n] = (adapted_db_sl[n] + _TINY) / (magnitude + _TINY) * moved
    return out
