"""Wide dynamic range compression: from channel levels to channel gains, frame by frame.

The paper's five steps (II-B, after May, Kowalewski & Dau 2018): short-time spectra, channel
levels, one gain function per channel, interpolation to bins, inverse transform. This module
holds the middle three; it runs in the device as the prescription's own gains, on which the
wearable net's gains are added and to which a device without a net step falls back.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroamp.bands import CHANNEL_FREQUENCIES_HZ, channel_matrix
from neuroamp.fitting import Fitting
from neuroamp.profile import Profile
from neuroamp.transform import power_scale
from neuroamp.units import REFERENCE_PRESSURE_PA

Floats = NDArray[np.float64]

THIRD_OCTAVES_HZ = 1000.0 * 2.0 ** (np.arange(-12, 13) / 3.0)
# fmt: off
LTASS_70_DB_SPL = (
    38.6, 43.5, 54.4, 57.7, 56.8, 60.2, 60.3, 59.0, 62.1, 62.1, 60.5, 56.8, 53.7,
    53.0, 52.0, 48.7, 48.1, 46.8, 45.6, 44.5, 44.3, 43.7, 43.4, 41.3, 40.7,
)
# fmt: on
"""Long-term average speech spectrum, third octaves from 63 Hz to 16 kHz, dB SPL at an overall
70 dB SPL (Byrne et al. 1994, combined male and female)."""

TRACKING_EXCESS_DB = (5.7, 6.0, 7.1, 8.8, 9.7, 9.3, 8.7, 8.5, 9.0, 10.6, 11.6)
"""How far the tracked level of running speech lies above its long-term level, dB per channel.

Measured over the training speech by `tools/calibrate_wdrc.py`; with it, speech of 65 dB SPL gets
the prescribed gain on average, in spite of the fast attack and the slow release."""

MAX_GAIN_DB = 80.0
SPECTRUM_FLOOR_DB_SPL = -40.0
"""Channel levels are clamped here: digital silence must not become minus infinity."""

STEADYING_S = 1.0
"""Time constant of the mean level that steadied gains follow. Gains that stay while a talker talks
keep the contrast of loud and soft that fast compression takes, and with it the quality (HASQI);
level differences between talkers and places, which are slower, are still evened out."""

STEADYING_LOUDEST = 2.0
"""A moment weighs at most this many times the mean, so that a bang does not fill it."""

STEADYING_REACH_DB = 12.0
"""A moment's level counts as at most this far from the mean, for the same reason."""

STEADYING_RANGE_DB = (-6.0, 2.0)
"""How far a steadied gain may lie from the momentary one."""


def speech_levels_db_spl(overall_db_spl: float = 65.0) -> Floats:
    """Level in each compression channel of average speech, shape [11], dB SPL."""
    grid_hz = np.arange(50.0, 8000.0)
    edges = 2.0 ** (1.0 / 6.0)
    density = np.zeros(grid_hz.size)
    for centre, level in zip(THIRD_OCTAVES_HZ, LTASS_70_DB_SPL, strict=True):
        low, high = centre / edges, centre * edges
        inside = (grid_hz >= low) & (grid_hz < high)
        density[inside] = 10.0 ** ((level - 70.0 + overall_db_spl) / 10.0) / (high - low)
    centres = np.log(CHANNEL_FREQUENCIES_HZ)
    weights = [
        np.interp(np.log(np.maximum(grid_hz, CHANNEL_FREQUENCIES_HZ[0])), centres, row)
        for row in np.eye(centres.size)
    ]
    return 10.0 * np.log10(np.stack(weights) @ density)


@dataclasses.dataclass(frozen=True)
class Curves:
    """Gain functions of one ear's channels, [11], or of a batch of ears, [batch, 11].

    Attributes:
        anchor_db_spl: the tracked level of speech of 65 dB SPL, [11]; gains turn around it.
        knee_db_spl: below it the gain does not rise further.
        gain_65_db: insertion gain at the anchor.
        slope: change of the gain with the level, dB a dB; 1 / compression ratio - 1.
        attack, release: share of the way to a higher and to a lower level that the tracked level
            goes in one step.
        steadying: share of the way that the mean level of the steadied gains goes in one step.
    """

    anchor_db_spl: Floats
    knee_db_spl: Floats
    gain_65_db: Floats
    slope: Floats
    attack: float
    release: float
    steadying: float


class Wdrc:
    """The compressor of one ear, or of a batch of ears (the first axis of every array).

    The level is smoothed in dB, faster up than down. The smoothing times follow from ANSI
    S3.22's definition at a compression ratio of 2: after a step of 35 dB the gain is within
    3 dB of its final value at the attack time, and after the step back within 4 dB at the
    release time.
    """

    def __init__(self, profile: Profile, fitting: Fitting | list[Fitting]) -> None:
        """Takes one ear's fitting, or a batch of fittings that share their attack and release."""
        self._power_to_channels = (channel_matrix(profile) * power_scale(profile)).T
        self._channels_to_bins = channel_matrix(profile)
        self._step_s = profile.step_seconds
        self._steadying = 1.0 - np.exp(-self._step_s / STEADYING_S)
        self.set_fitting(fitting)
        self._level: Floats | None = None
        self._weight: Floats | None = None
        self._above_db: Floats | None = None

    def set_fitting(self, fitting: Fitting | list[Fitting]) -> None:
        """Takes new gains; the tracked levels stay, so that nothing jumps."""
        batch = fitting if isinstance(fitting, list) else [fitting]
        first = batch[0]
        shape = (len(batch), -1) if isinstance(fitting, list) else (-1,)
        self._anchor = speech_levels_db_spl(65.0) + np.array(TRACKING_EXCESS_DB)
        # The knee is a speech level: in each channel it lies where speech of that level would.
        below_65 = np.repeat([[f.knee_db_spl - 65.0] for f in batch], self._anchor.size, axis=1)
        self._knee = (self._anchor + below_65).reshape(shape)
        self._gain_65 = np.array([f.gain_65_db for f in batch]).reshape(shape)
        self._slope = (1.0 / np.array([f.compression_ratio for f in batch]) - 1.0).reshape(shape)
        full_step_db = 35.0 * (1.0 - 1.0 / 2.0)
        attack = first.attack_s / np.log(full_step_db / 3.0)
        release = first.release_s / np.log(full_step_db / 4.0)
        self._attack = 1.0 - np.exp(-self._step_s / attack)
        self._release = 1.0 - np.exp(-self._step_s / release)

    @property
    def curves(self) -> Curves:
        """What `channel_gains_db` and `track` compute with, for who computes the same elsewhere."""
        return Curves(
            self._anchor,
            self._knee,
            self._gain_65,
            self._slope,
            self._attack,
            self._release,
            self._steadying,
        )

    def levels_db_spl(self, spectrum: NDArray[np.complex128]) -> Floats:
        """Momentary channel levels [..., 11], dB SPL, of spectra [..., bins]."""
        return self.in_db_spl((spectrum.real**2 + spectrum.imag**2) @ self._power_to_channels)

    @staticmethod
    def in_db_spl(power: Floats) -> Floats:
        """Channel levels, dB SPL, of mean square pressures, Pa^2; the same shape."""
        floor = REFERENCE_PRESSURE_PA**2 * 10.0 ** (SPECTRUM_FLOOR_DB_SPL / 10.0)
        return 10.0 * np.log10(np.maximum(power, floor) / REFERENCE_PRESSURE_PA**2)

    def track(self, level_db_spl: Floats) -> Floats:
        """Tracked levels after one more momentary level, both [..., 11], dB SPL."""
        if self._level is None:
            self._level = np.full_like(level_db_spl, SPECTRUM_FLOOR_DB_SPL)
        rise = level_db_spl - self._level
        self._level = self._level + rise * np.where(rise > 0.0, self._attack, self._release)
        return self._level

    def channel_gains_db(self, level_db_spl: ArrayLike) -> Floats:
        """Insertion gain [..., 11], dB, never negative, at tracked levels [..., 11], dB SPL."""
        return self._gains_at(self._above_anchor(level_db_spl))

    def steadied_db(self, level_db_spl: Floats, tracked_db_spl: Floats) -> Floats:
        """Steadied gains after one more step's momentary and tracked levels; all [..., 11].

        They are the gains for average speech of one level in all channels together: the mean over
        the channels and over `STEADYING_S` of how far the sound lies above such speech of 65 dB
        SPL, each channel and moment weighted with the root of its amplitude, within
        `STEADYING_RANGE_DB` of the momentary gains. So where noise or music fills channels that
        speech would leave lower, these keep the prescription's shape.
        """
        weights = 10.0 ** (level_db_spl / 40.0)
        weight = weights.sum(axis=-1, keepdims=True)
        above_db = self._above_anchor(tracked_db_spl)
        now_db = (weights * above_db).sum(axis=-1, keepdims=True) / weight
        if self._weight is None or self._above_db is None:
            self._weight, self._above_db = weight, now_db
        weight = np.minimum(weight, STEADYING_LOUDEST * self._weight)
        self._weight = self._weight + self._steadying * (weight - self._weight)
        away_db = np.clip(now_db - self._above_db, -STEADYING_REACH_DB, STEADYING_REACH_DB)
        self._above_db = self._above_db + self._steadying * weight / self._weight * away_db
        gain_db = self._gains_at(above_db)
        low_db, high_db = STEADYING_RANGE_DB
        return np.clip(self._gains_at(self._above_db), gain_db + low_db, gain_db + high_db)

    def _above_anchor(self, level_db_spl: ArrayLike) -> Floats:
        return np.maximum(level_db_spl, self._knee) - self._anchor

    def _gains_at(self, above_anchor_db: Floats) -> Floats:
        return np.clip(self._gain_65 + self._slope * above_anchor_db, 0.0, MAX_GAIN_DB)

    def step(self, spectrum: NDArray[np.complex128], steadiness: float = 0.0) -> Floats:
        """Insertion gain per bin [..., bins], dB, for one more spectrum [..., bins].

        `steadiness` is the share of the way from the momentary to the steadied gains, 0 to 1.
        """
        level_db_spl = self.levels_db_spl(spectrum)
        tracked_db_spl = self.track(level_db_spl)
        gain_db = self.channel_gains_db(tracked_db_spl)
        steadied_db = self.steadied_db(level_db_spl, tracked_db_spl)
        return self.to_bins(gain_db + steadiness * (steadied_db - gain_db))

    def to_bins(self, channel_gains_db: Floats) -> Floats:
        """Gains per bin [..., bins], dB, from gains per channel [..., 11]."""
        return channel_gains_db @ self._channels_to_bins
