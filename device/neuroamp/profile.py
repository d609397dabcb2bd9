"""What a net and its host agree on: rate, windows, hop, bands, features, output, level reference.

A profile is data inside every exported model file, so that a model file alone is enough to run.
Three come with the project: `PAPER` (the published method, 32 ms, for research), `PAPER_BANDS` (the
same, its gains smooth across frequency) and `WEAR` (4 ms, for wearing).
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Literal

from neuroamp.errors import NeuroampError

FeatureKind = Literal["band-level", "log-magnitude"]
OutputKind = Literal["band-gain", "log-magnitude"]
FORMAT_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Profile:
    """One analysis-net-synthesis scheme.

    Attributes:
        name: the profile's name.
        sample_rate_hz: rate inside the chain.
        frame_length: analysis window and FFT length, samples.
        hop: audio hop, samples.
        synthesis_length: synthesis window length, samples; it sets the algorithmic delay.
        window: 'asymmetric' (Mauler & Martin 2007) or 'hamming' (the paper, IV-B-1).
        hops_per_step: audio hops between two net steps; the gains are held in between.
        features: 'band-level' (per band, dB SPL, scaled) or 'log-magnitude' (per bin).
        output: 'band-gain' (dB on top of the prescription, per band) or 'log-magnitude'.
        bands: number of bands on an ERB-rate scale: of the net's features and output, or, where
            those are per bin, of the gains that are made of them; 0 for a gain of each bin.
        gain_min_db, gain_max_db: range of a 'band-gain' output, dB.
        level_reference_pa: the sound pressure, pascals, that means 0 dB.
    """

    name: str
    sample_rate_hz: int
    frame_length: int
    hop: int
    synthesis_length: int
    window: Literal["asymmetric", "hamming"]
    hops_per_step: int
    features: FeatureKind
    output: OutputKind
    bands: int
    gain_min_db: float
    gain_max_db: float
    level_reference_pa: float = 20e-6

    @property
    def bins(self) -> int:
        """Number of FFT bins from 0 Hz to half the sample rate."""
        return self.frame_length // 2 + 1

    @property
    def feature_count(self) -> int:
        """Length of the net's spectral input and of its output."""
        return self.bands if self.features == "band-level" else self.bins

    @property
    def delay_samples(self) -> int:
        """Algorithmic delay, buffering of one hop included, computing time excluded."""
        return self.synthesis_length

    @property
    def step_seconds(self) -> float:
        """Time between two net steps."""
        return self.hop * self.hops_per_step / self.sample_rate_hz

    def to_dict(self) -> dict[str, Any]:
        """The profile as plain JSON types."""
        return {"format_version": FORMAT_VERSION, **dataclasses.asdict(self)}

    def to_json(self) -> str:
        """The profile as a JSON object with sorted keys."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_dict(cls, data: object) -> Profile:
        """Profile from the output of `to_dict`.

        Raises:
            NeuroampError: a key is missing, unknown or of another type, or the numbers
                contradict each other.
        """
        if not isinstance(data, dict):
            raise NeuroampError(
                f"the profile must be a JSON object but is a {type(data).__name__}; "
                "export the model again."
            )
        version = data.get("format_version")
        if version != FORMAT_VERSION:
            raise NeuroampError(
                f"the profile has format version {version!r} but this release reads "
                f"{FORMAT_VERSION}; export the model again with this release."
            )
        fields = {f.name: f for f in dataclasses.fields(cls)}
        given = {key: value for key, value in data.items() if key != "format_version"}
        if set(given) != set(fields):
            wrong = sorted(set(given) ^ set(fields))
            raise NeuroampError(
                f"the profile's keys are wrong at {', '.join(map(str, wrong))}; "
                "export the model again with this release."
            )
        for key, value in given.items():
            expected = {"int": int, "float": (int, float)}.get(str(fields[key].type), str)
            if isinstance(value, bool) or not isinstance(value, expected):  # type: ignore[arg-type]
                raise NeuroampError(
                    f"the profile's {key} must be of type {fields[key].type} but is {value!r}; "
                    "export the model again."
                )
        profile = cls(**given)
        profile._check()
        return profile

    def _check(self) -> None:
        sound = (
            self.sample_rate_hz in (8000, 16000, 24000, 32000, 48000)
            and 16 <= self.frame_length <= 4096
            and self.frame_length & (self.frame_length - 1) == 0
            and 1 <= self.hop <= self.synthesis_length // 2
            and self.synthesis_length == 2 * self.hop
            and self.synthesis_length <= self.frame_length
            and self.window in ("asymmetric", "hamming")
            and (self.window != "hamming" or self.synthesis_length == self.frame_length)
            and 1 <= self.hops_per_step <= 16
            and self.features in ("band-level", "log-magnitude")
            and self.output in ("band-gain", "log-magnitude")
            and (self.features == "band-level") == (self.output == "band-gain")
            and self._has_bands()
            and -60.0 <= self.gain_min_db <= 0.0 <= self.gain_max_db <= 20.0
            and 1e-6 <= self.level_reference_pa <= 1.0
        )
        if not sound:
            raise NeuroampError(
                f"the profile {self.name!r} has numbers that contradict each other "
                f"({self.to_json()}); export the model again from a profile of this project."
            )

    def _has_bands(self) -> bool:
        if self.features == "band-level":
            return 4 <= self.bands <= self.bins
        return self.bands == 0 or 4 <= self.bands <= self.bins // 2


PAPER = Profile(
    name="paper",
    sample_rate_hz=16000,
    frame_length=512,
    hop=256,
    synthesis_length=512,
    window="hamming",
    hops_per_step=1,
    features="log-magnitude",
    output="log-magnitude",
    bands=0,
    gain_min_db=0.0,
    gain_max_db=0.0,
)
"""The paper's method (IV-B): 512-point STFT, 32 ms Hamming window, 16 ms hop; 32 ms of delay."""

PAPER_BANDS = dataclasses.replace(PAPER, name="paper-bands", bands=64)
"""The same, the net's gains made smooth across frequency: see `features.GainsInBands`."""

WEAR = Profile(
    name="wear",
    sample_rate_hz=16000,
    frame_length=512,
    hop=32,
    synthesis_length=64,
    window="asymmetric",
    hops_per_step=2,
    features="band-level",
    output="band-gain",
    bands=64,
    gain_min_db=-20.0,
    gain_max_db=6.0,
)
"""The wearable scheme: 32 ms asymmetric analysis, 4 ms synthesis window, 4 ms of delay."""

PROFILES = {profile.name: profile for profile in (PAPER, PAPER_BANDS, WEAR)}


def smoothed(profile: Profile) -> Profile:
    """The profile whose nets give what this one's give, the gains made of it smooth.

    Raises:
        NeuroampError: its nets give no magnitudes.
    """
    if profile.output != "log-magnitude":
        raise NeuroampError(
            f"the gains of the profile {profile.name!r} are of bands already; leave out to smooth "
            "them."
        )
    return dataclasses.replace(profile, name=PAPER_BANDS.name, bands=PAPER_BANDS.bands)
