"""The chain of one ear, from microphone pressure to receiver pressure, hop by hop.

    input -> analysis -> spectrum -> gains -> synthesis -> limiter -> output
                            |          |
                            +-> WDRC --+  the prescription's own gains, dB per bin
                            +-> net ---+  what the net asks for on top of them, dB per bin

The gains are computed on every `hops_per_step`-th hop, the first included, and held in between.
This module is the readable specification that the C core is compared with.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroamp.audiogram import Ear
from neuroamp.engines.base import Engine
from neuroamp.errors import NeuroampError
from neuroamp.features import (
    BAND_LEVEL_CENTRE_DB_SPL,
    BAND_LEVEL_SPAN_DB,
    BandGains,
    Features,
    GainsInBands,
    Magnitudes,
    audiogram_input,
)
from neuroamp.fitting import Fitting
from neuroamp.limiter import Limiter, ceiling_pa
from neuroamp.profile import Profile
from neuroamp.times import Stage, StageTimes, Times
from neuroamp.transform import Analysis, Synthesis
from neuroamp.wdrc import Wdrc

Floats = NDArray[np.float64]

INPUT_CEILING_PA = 2000.0
"""Input samples are clamped to this magnitude, 160 dB SPL: beyond any microphone, and small enough
that no level ever becomes infinite, from which the compressor would not recover."""

GAIN_SLOPE_DB = 12.0
"""Largest change of a bin's gain from one step to the next where the net's output is a gain."""

MISSED_DECAY_S = 0.1
"""Time constant with which the net's last gains fade to the prescription's own, when it misses."""

NOISE_S = 1.25
"""Time constant of the mean of the band gains that the net asks for."""

NOISE_RANGE_DB = (-1.1, -3.5)
"""Where that mean is above the first, there is no noise to speak of, and what the net asks for is
left undone; below the second all of it is done, in between a share. So speech in quiet and music
keep the prescription's gains, which the net's guesses would only blur."""

NET_GAIN_RANGE_DB = (-100.0, 80.0)
"""Range of the gain that a 'log-magnitude' output may ask for: |Y| / |X| in dB."""

LEAST_MAGNITUDE = 1e-12
"""Keeps that quotient finite; 120 dB below a bin at 0 dB SPL and more."""


@dataclasses.dataclass
class ChainStats:
    """What happened since the chain was made or reset.

    Attributes:
        steps: gain computations, one for every `hops_per_step` hops.
        missed_steps: steps at which the net was late or its output not finite.
        non_finite_samples: input samples that were NaN or infinite and were taken as silence.
    """

    steps: int = 0
    missed_steps: int = 0
    non_finite_samples: int = 0


class EarChain:
    """Amplifies, and with a net also denoises, the sound at one ear.

    The output is late by exactly `profile.delay_samples`, and the same samples come out whatever
    the sizes of the blocks that go in.
    """

    def __init__(
        self,
        profile: Profile,
        fitting: Fitting,
        engine: Engine | None = None,
        ear: Ear | None = None,
    ) -> None:
        """A chain at rest.

        Args:
            profile: the scheme; a net must have been trained for the same.
            fitting: the ear's gains and limits.
            engine: the net, which the chain has for itself; None amplifies by the fitting alone.
            ear: the side this chain is for; by default the fitting's.

        Raises:
            NeuroampError: the fitting is for the other ear, or the model for another profile.
        """
        if engine is not None:
            _check_profile(profile, engine)
        self.profile = profile
        self.ear = fitting.ear if ear is None else ear
        self._engine = engine
        self._features = Features(profile)
        self._band_gains = BandGains(profile) if profile.output == "band-gain" else None
        self._magnitudes = Magnitudes(profile)
        banded = profile.output == "log-magnitude" and profile.bands > 0
        self._in_bands = GainsInBands(profile) if banded else None
        self._noise_reach = 1.0 - float(np.exp(-profile.step_seconds / NOISE_S))
        self._decay = float(np.exp(-profile.step_seconds / MISSED_DECAY_S))
        self._times = StageTimes()
        _check_ear(self.ear, fitting)
        self._fitting = fitting
        self.reset()

    def reset(self) -> None:
        """Forgets all that was heard, as at the start of a stream; the fitting stays."""
        profile, fitting = self.profile, self._fitting
        self.stats = ChainStats()
        self._times.reset()
        self._analysis = Analysis(profile)
        self._synthesis = Synthesis(profile)
        self._wdrc = Wdrc(profile, fitting)
        self._limiter = Limiter(profile.sample_rate_hz, fitting.mpo_db_spl)
        self._audiogram = audiogram_input(fitting.thresholds_db_hl).astype(np.float32)
        self._hops = 0
        self._filled = 0
        self._incoming = np.zeros(profile.hop)
        self._outgoing = np.zeros(profile.hop)
        self._net_db = np.zeros(profile.bins)
        self._noise_weight = self._noise_asked_db = 0.0
        self._gain_db = np.zeros(profile.bins)
        self._gain = np.ones(profile.bins)
        if self._engine is not None:
            self._engine.reset()

    def set_fitting(self, fitting: Fitting) -> None:
        """Takes another fitting: its MPO at once, its gains from the next step on, with no break.

        Raises:
            NeuroampError: the fitting is for the other ear; the chain keeps the one it has.
        """
        _check_ear(self.ear, fitting)
        self._fitting = fitting
        self._wdrc.set_fitting(fitting)
        self._limiter.set_mpo(fitting.mpo_db_spl)
        # The hop that is ready was limited by the fitting before.
        ceiling = ceiling_pa(fitting.mpo_db_spl)
        self._outgoing = np.clip(self._outgoing, -ceiling, ceiling)
        self._audiogram = audiogram_input(fitting.thresholds_db_hl).astype(np.float32)

    @property
    def fitting(self) -> Fitting:
        """The fitting in use."""
        return self._fitting

    @property
    def insertion_gain_db(self) -> Floats:
        """Gain of the last step, dB per bin, shape [bins]; 0 dB before the first."""
        return self._gain_db.copy()

    @property
    def net_share(self) -> float:
        """How much of the band gains that the net asks for is done, 0 to 1: see NOISE_RANGE_DB."""
        if self._noise_weight == 0.0:
            return 1.0
        none_db, sure_db = NOISE_RANGE_DB
        mean_db = self._noise_asked_db / self._noise_weight
        return float(np.clip((none_db - mean_db) / (none_db - sure_db), 0.0, 1.0))

    def time_stages(self, deadline_s: float | None = None) -> None:
        """Times every stage from now on; a frame above `deadline_s` is a miss (default: a hop)."""
        self._times.set_clock(deadline_ns(self.profile, deadline_s))

    @property
    def stage_times(self) -> dict[Stage, Times]:
        """Times of the stages in nanoseconds since `time_stages` or the last reset."""
        return self._times.times

    def process(self, block_pa: ArrayLike) -> Floats:
        """The next samples for the receiver, as many as came from the microphone.

        Args:
            block_pa: sound pressure, pascals, shape [samples] of any length.

        Raises:
            NeuroampError: the block has more than one axis.
        """
        block = np.asarray(block_pa, dtype=np.float64)
        if block.ndim != 1:
            raise NeuroampError(
                f"a block of one ear has one axis but this one has the shape {block.shape}; "
                "give each ear its own chain."
            )
        out = np.empty_like(block)
        done = 0
        while done < block.size:
            # Sample i of a hop goes in while sample i of the hop before comes out.
            count = min(self.profile.hop - self._filled, block.size - done)
            span = slice(self._filled, self._filled + count)
            self._incoming[span] = block[done : done + count]
            out[done : done + count] = self._outgoing[span]
            done += count
            self._filled += count
            if self._filled == self.profile.hop:
                self._outgoing = self._process_hop(self._incoming)
                self._filled = 0
        return out

    def _process_hop(self, hop_pa: Floats) -> Floats:
        times = self._times
        start = times.now()
        finite = np.isfinite(hop_pa)
        self.stats.non_finite_samples += hop_pa.size - int(np.count_nonzero(finite))
        sound = np.clip(np.where(finite, hop_pa, 0.0), -INPUT_CEILING_PA, INPUT_CEILING_PA)
        spectrum = self._analysis.push(sound)
        now = times.count(Stage.ANALYSIS, start)
        if self._hops % self.profile.hops_per_step == 0:
            self._update_gains(spectrum)
            now = times.count(Stage.GAINS, now)
        self._hops += 1
        synthesised = self._synthesis.push(self._gain * spectrum)
        now = times.count(Stage.SYNTHESIS, now)
        out = self._limiter.process(synthesised)
        times.count(Stage.LIMITER, now)
        times.count(Stage.FRAME, start)
        return out

    def _update_gains(self, spectrum: NDArray[np.complex128]) -> None:
        strength = self._fitting.noise_reduction
        # A net that adds to the gains adds to steadied ones; one that replaces them does not hear
        # how they move.
        adds_to_them = self._engine is not None and self._band_gains is not None
        prescribed_db = self._wdrc.step(spectrum, strength if adds_to_them else 0.0)
        if self._engine is not None:
            start = self._times.now()
            self._update_net(self._engine, spectrum, prescribed_db)
            self._times.count(Stage.NET, start)
        gain_db = prescribed_db + strength * self.net_share * self._net_db
        if self._band_gains is not None and self._hops > 0:
            previous_db = self._gain_db
            gain_db = np.clip(gain_db, previous_db - GAIN_SLOPE_DB, previous_db + GAIN_SLOPE_DB)
        self._gain_db = gain_db
        self._gain = 10.0 ** (gain_db / 20.0)
        self.stats.steps += 1

    def _update_net(
        self, engine: Engine, spectrum: NDArray[np.complex128], prescribed_db: Floats
    ) -> None:
        features = self._features(spectrum).astype(np.float32)
        output = engine.step(features, self._audiogram)
        if output is None or not np.all(np.isfinite(output)):
            self.stats.missed_steps += 1
            self._net_db = self._net_db * self._decay
            if output is not None:
                engine.reset()
        elif self._band_gains is not None:
            self._net_db = self._band_gains(output)
            self._hear_noise(features, self._band_gains.in_bands(output))
        else:
            wanted = np.maximum(self._magnitudes(output), LEAST_MAGNITUDE)
            heard = np.maximum(np.abs(spectrum), LEAST_MAGNITUDE)
            net_gain_db = np.clip(20.0 * np.log10(wanted / heard), *NET_GAIN_RANGE_DB)
            if self._in_bands is not None:
                net_gain_db = self._in_bands(net_gain_db, spectrum)
            # Relative to the prescription, so that the strength of the noise reduction blends
            # between the two and a missed step fades to the prescription.
            self._net_db = net_gain_db - prescribed_db

    def _hear_noise(self, features: NDArray[np.float32], asked_db: Floats) -> None:
        """Takes one more step's band gains into their mean, in which loud bands weigh more."""
        level_db_spl = BAND_LEVEL_CENTRE_DB_SPL + BAND_LEVEL_SPAN_DB * features.astype(np.float64)
        loudness = 10.0 ** (level_db_spl / 40.0)
        self._noise_weight += self._noise_reach * (float(loudness.sum()) - self._noise_weight)
        asked_db_sum = float(loudness @ asked_db)
        self._noise_asked_db += self._noise_reach * (asked_db_sum - self._noise_asked_db)


def deadline_ns(profile: Profile, deadline_s: float | None) -> int:
    """The deadline of a frame in nanoseconds; None means one hop, when the next frame comes."""
    seconds = profile.hop / profile.sample_rate_hz if deadline_s is None else deadline_s
    return round(seconds * 1e9)


def _check_ear(ear: Ear, fitting: Fitting) -> None:
    if fitting.ear != ear:
        raise NeuroampError(
            f"this is the {ear.value} ear but the fitting is for the {fitting.ear.value} ear; "
            f"give the {ear.value} ear's fitting."
        )


def _check_profile(profile: Profile, engine: Engine) -> None:
    expected, actual = profile.to_dict(), engine.info.profile.to_dict()
    different = [key for key in expected if expected[key] != actual[key]]
    if different:
        wanted = ", ".join(f"{key} {expected[key]}" for key in different)
        found = ", ".join(f"{key} {actual[key]}" for key in different)
        raise NeuroampError(
            f"the model {engine.info.name!r} is for another profile (expected {wanted}; it has "
            f"{found}); choose a model for the profile {profile.name!r}."
        )
