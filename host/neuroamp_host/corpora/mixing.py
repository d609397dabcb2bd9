"""Mixtures of speech or music with noise, made as they are needed and the same every time."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from neuroamp import units
from neuroamp.errors import NeuroampError
from numpy.typing import NDArray
from scipy import fft

from neuroamp_host.corpora.audio import SAMPLE_RATE_HZ, read_mono, resample
from neuroamp_host.corpora.corpus import Corpus, Kind, Utterance
from neuroamp_host.corpora.levels import active_level_db_spl, scaled_noise, set_level
from neuroamp_host.corpora.registry import open_corpus
from neuroamp_host.corpora.rooms import Room, convolve_room, load_rooms

logger = logging.getLogger(__name__)

COPYLEFT = ("*GPL*", "*BY-SA*")
"""Licence patterns of sources that ask the same licence of what is derived from them."""

PAUSES_S = (0.1, 0.6)
"""Between joined utterances of one talker."""

QUIET_CROP_DB = 12.0
"""A crop this much softer than its recording is drawn again, if tries are left."""

CROPS_TRIED = 4
SHORTEST_SAMPLES = SAMPLE_RATE_HZ // 100
BABBLE_SPREAD_DB = 6.0
"""The talkers of a babble differ from their mean level by this much at most."""

COLOURED_NOISE_DB = 15.0
"""Octaves of coloured noise differ from white by this much at most."""

SECOND_NOISE_SOFTER_DB = (0.0, 10.0)
MOST_TONES = 3
TONE_RANGE_HZ = (100.0, 7000.0)
TONE_RISE_S = 0.02
PAIR_LEVEL_DB_SPL = 65.0
_OCTAVES_HZ = 125.0 * 2.0 ** np.arange(7)
_FULL_SCALE = 32767.0
_FADE_SAMPLES = 80


@dataclasses.dataclass(frozen=True)
class MixtureConfig:
    """How mixtures are drawn; shares are probabilities from 0 to 1.

    Attributes:
        level_range_db_spl: lowest, most frequent and highest active level of the target, dB SPL;
            triangular between them.
        snr_range_db: uniform; the target's active level over the noise's RMS level, dB.
        noise_only_share: mixtures whose target is silence.
        music_share: mixtures whose target is music, to be kept.
        tone_share: mixtures whose target is a few steady tones, to be kept; drawn like music.
        clean_share: of the speech: without noise, to be passed on as it is.
        clean_music_share: of the music: likewise; a half in the paper (section IV.A).
        babble_share: of the noises: several people talking at once.
        babble_talkers: fewest and most of them; never the wanted talker.
        coloured_noise_share: of the noises: Gaussian noise of a random spectrum.
        second_noise_share: of the recorded noises: two at once, the second 0 to 10 dB softer.
        room_share: of the speech: in a room (see `rooms.convolve_room` for the target).
        colour_share: of the signals: another microphone's colour, see `colour_db`.
        colour_db: gains at octaves are uniform within plus or minus this, dB.
        speed_share: of the recordings: played faster or slower, pitch and all.
        speed_range: of the factor.
        noise_speed: all recorded noise is played at up to this times its speed and down to as
            small a part of it (uniform in octaves); 1 for as it is, and then as `speed_share` says.
        pair_share: mixtures that are a recorded pair of a data set; all of them where a data set
            has pairs and no speech of its own.
        evaluation_only: whether files marked so are used; never for training.
    """

    level_range_db_spl: tuple[float, float, float] = (45.0, 65.0, 85.0)
    snr_range_db: tuple[float, float] = (-7.0, 25.0)
    noise_only_share: float = 0.05
    music_share: float = 0.1
    tone_share: float = 0.0
    clean_share: float = 0.1
    clean_music_share: float = 0.5
    babble_share: float = 0.15
    babble_talkers: tuple[int, int] = (3, 8)
    coloured_noise_share: float = 0.1
    second_noise_share: float = 0.25
    room_share: float = 0.3
    colour_share: float = 0.5
    colour_db: float = 5.0
    speed_share: float = 0.3
    speed_range: tuple[float, float] = (0.9, 1.1)
    noise_speed: float = 1.0
    pair_share: float = 0.0
    evaluation_only: bool = False

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_share") and not 0.0 <= value <= 1.0:
                raise NeuroampError(f"{field.name} is {value} but must be from 0 to 1; correct it.")
            if isinstance(value, tuple) and list(value) != sorted(value):
                raise NeuroampError(f"{field.name} is {value} but must not fall; correct it.")
        if not self.noise_speed >= 1.0:
            raise NeuroampError(
                f"noise_speed is {self.noise_speed} but must be 1 or more; correct it."
            )
        if self.noise_only_share + self.music_share + self.tone_share > 1.0:
            raise NeuroampError(
                "noise_only_share, music_share and tone_share are above 1 together; lower one."
            )


EVALUATION = MixtureConfig(
    level_range_db_spl=(65.0, 65.0, 65.0),
    snr_range_db=(-5.0, 15.0),
    noise_only_share=0.0,
    music_share=0.0,
    clean_share=0.0,
    coloured_noise_share=0.0,
    second_noise_share=0.0,
    room_share=0.0,
    colour_share=0.0,
    speed_share=0.0,
    evaluation_only=True,
)
"""Dry speech of unheard talkers at 65 dB SPL in one unheard noise: nothing made up but the sum."""


@dataclasses.dataclass(frozen=True)
class Mixture:
    """One example.

    Attributes:
        clean_pa: the target, float32 [n], pascals at 16 kHz; zeros where nothing is wanted.
        noisy_pa: what the microphone hears, the same shape.
        level_db_spl: active level of `clean_pa`, dB SPL; -inf where nothing is wanted.
        snr_db: level of the target over that of the noise, dB; inf without noise, -inf without
            target. Late reverberation counts to neither.
        target: 'speech', 'music' or 'none'.
        speaker: the wanted talker; empty if there is none.
        noises: what the noise is made of.
        room: name of the room; empty for a dry signal.
    """

    clean_pa: NDArray[np.float32]
    noisy_pa: NDArray[np.float32]
    level_db_spl: float
    snr_db: float
    target: str
    speaker: str = ""
    noises: tuple[str, ...] = ()
    room: str = ""


@dataclasses.dataclass(frozen=True)
class Recording:
    """A decoded file.

    Attributes:
        utterance: where it came from.
        samples: int16 [rows, n] at 16 kHz; row 0 is the file, row 1 the clean partner if any.
        rms: of the last row (the wanted sound), in steps of int16; at least 1.
    """

    utterance: Utterance
    samples: NDArray[np.int16]
    rms: float

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.samples.shape[1] / SAMPLE_RATE_HZ


class Pool:
    """Recordings of one kind, drawn by duration."""

    def __init__(
        self, recordings: Sequence[Recording], group: Callable[[Recording], str], even: bool
    ) -> None:
        """`group` names a recording's talker or noise class; recordings of one are joined.

        A second of any recording is as likely as another; `even` lets a group weigh as the
        square root of its duration, so that a few large classes do not crowd out the others.
        """
        self.recordings = recordings
        self.group = group
        self.groups: dict[str, list[Recording]] = {}
        for recording in recordings:
            self.groups.setdefault(group(recording), []).append(recording)
        total = {name: sum(r.seconds for r in own) for name, own in self.groups.items()}
        weights = [r.seconds / (math.sqrt(total[group(r)]) if even else 1.0) for r in recordings]
        self._cumulative = np.cumsum(weights) / max(sum(weights), 1e-9)

    def __bool__(self) -> bool:
        return bool(self.recordings)

    def draw(self, rng: np.random.Generator) -> Recording:
        """One recording."""
        index = int(np.searchsorted(self._cumulative, rng.random(), side="right"))
        return self.recordings[min(index, len(self.recordings) - 1)]

    def draw_other(self, rng: np.random.Generator, group: str) -> Recording:
        """One recording of another group than `group`; of the same if there is no other."""
        recording = self.draw(rng)
        for _ in range(20):
            if self.group(recording) != group:
                break
            recording = self.draw(rng)
        return recording

    def cut(
        self,
        first: Recording,
        samples: int,
        rng: np.random.Generator,
        pauses_s: tuple[float, float] = (0.0, 0.0),
    ) -> NDArray[np.float32]:
        """`samples` samples of a recording [rows, samples], of full scale 1.

        A long recording is cropped where it is not much softer than as a whole. A short one is
        followed by others of its group, with pauses between and before.
        """
        if first.samples.shape[1] >= samples:
            return _crop(first, samples, rng)
        cut = np.zeros((first.samples.shape[0], samples), dtype=np.float32)
        own = self.groups[self.group(first)]
        position = int(rng.uniform(0.0, pauses_s[1]) * SAMPLE_RATE_HZ)
        position = min(position, samples - first.samples.shape[1])
        recording = first
        while position < samples:
            piece = recording.samples.astype(np.float32)
            piece /= _FULL_SCALE
            fade = min(_FADE_SAMPLES, piece.shape[1])
            piece[:, -fade:] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
            piece = piece[:, : samples - position]
            cut[:, position : position + piece.shape[1]] = piece
            position += piece.shape[1] + int(rng.uniform(*pauses_s) * SAMPLE_RATE_HZ)
            recording = own[int(rng.integers(len(own)))]
        return cut


class MixtureSampler:
    """Mixtures of one split: all its audio is decoded once and held in memory as int16.

    Everything drawn comes from the generator given to `draw`, or for `mixture` and iteration
    from the seed and the mixture's number alone: neither the number of workers nor the order of
    asking changes a mixture.
    """

    def __init__(
        self,
        roots: Path | Sequence[Path],
        split: str,
        seconds: float = 2.0,
        seed: int = 0,
        config: MixtureConfig | None = None,
        exclude_licences: tuple[str, ...] = (),
        longest_hours: float = 10.0,
    ) -> None:
        """Decodes the split.

        Args:
            roots: folder or folders of data sets, see `registry.open_corpus`; speech may come
                from one and noise from another.
            split: 'train', 'dev' or 'test'.
            seconds: length of every mixture.
            seed: of `mixture` and iteration.
            config: how mixtures are drawn; None for the defaults of training.
            exclude_licences: patterns of licences to leave out, e.g. `COPYLEFT`.
            longest_hours: audio held in memory (115 MB an hour); of a larger split a fixed random
                part of this duration is used, and the log says so.

        Raises:
            NeuroampError: a root is not a data set, or there is no speech or no noise.
        """
        self.config = config or MixtureConfig()
        self.split = split
        self.seed = seed
        self.samples = round(seconds * SAMPLE_RATE_HZ)
        roots = [roots] if isinstance(roots, Path) else list(roots)
        corpora = [open_corpus(root, split, exclude_licences=exclude_licences) for root in roots]
        recordings = _decode(corpora, self.config.evaluation_only, longest_hours)
        self.rooms: tuple[Room, ...] = tuple(
            room for corpus in corpora for room in load_rooms(corpus.utterances, corpus.skipped)
        )
        for corpus in corpora:
            corpus.skipped.log(f"{corpus.name} in {corpus.root}, split {split}")
        self.recordings = tuple(recordings)

        def of_kind(kind: Kind) -> list[Recording]:
            return [r for r in recordings if r.utterance.kind is kind]

        self._speech = Pool(of_kind(Kind.SPEECH), _talker, even=False)
        self._noise = Pool(of_kind(Kind.NOISE), _noise_class, even=True)
        self._music = Pool(of_kind(Kind.MUSIC), _path, even=False)
        self._pairs = Pool(of_kind(Kind.NOISY_SPEECH), _talker, even=False)
        if not self._pairs and not (self._speech and self._noise):
            missing = "noise" if self._speech else "speech"
            raise NeuroampError(
                f"there is no {missing} for the split {split!r} in "
                f"{', '.join(str(root) for root in roots)}; give a further data folder with it."
            )

    @property
    def sources(self) -> tuple[tuple[str, str, float], ...]:
        """What mixtures are made of: (source, licence, seconds), for a model's card."""
        seconds: dict[tuple[str, str], float] = {}
        for recording in self.recordings:
            key = (recording.utterance.corpus, recording.utterance.licence)
            seconds[key] = seconds.get(key, 0.0) + recording.seconds
        return tuple((*key, value) for key, value in sorted(seconds.items()))

    def mixture(self, index: int) -> Mixture:
        """The mixture of this number, the same every time."""
        return self.draw(np.random.default_rng([self.seed, index]))

    def __iter__(self) -> Iterator[Mixture]:
        """Mixtures 0, 1, 2, ... without end."""
        index = 0
        while True:
            yield self.mixture(index)
            index += 1

    def draw(self, rng: np.random.Generator) -> Mixture:
        """One mixture, drawn from `rng`."""
        config = self.config
        level = float(_triangular(rng, config.level_range_db_spl))
        if self._pairs and (not self._speech or rng.random() < config.pair_share):
            return self._pair(rng, level)
        snr = float(rng.uniform(*config.snr_range_db))
        scene, noiseless = rng.random(), rng.random()
        if scene < config.noise_only_share:
            return self._noise_only(rng, level - snr)
        if self._music and scene < config.noise_only_share + config.music_share:
            snr = math.inf if noiseless < config.clean_music_share else snr
            return self._music_mixture(rng, level, snr)
        if scene > 1.0 - config.tone_share:
            return self._tones(rng, level)
        snr = math.inf if noiseless < config.clean_share else snr
        return self._speech_mixture(rng, level, snr)

    def _speech_mixture(self, rng: np.random.Generator, level: float, snr: float) -> Mixture:
        first = self._speech.draw(rng)
        dry = self._varied(self._speech, first, rng, PAUSES_S)
        room = self._room(rng)
        heard, target = _in_room(dry, room, rng)
        heard, target = self._coloured(rng, heard, target)
        gain = _gain(target, level)
        target, heard = target * gain, heard * gain
        noises: tuple[str, ...] = ()
        if snr != math.inf:
            noise, noises = self._draw_noise(rng, _talker(first), room)
            heard = heard + scaled_noise(noise, level - snr)
        name = room.name if room else ""
        return Mixture(target, heard, level, snr, "speech", first.utterance.speaker, noises, name)

    def _music_mixture(self, rng: np.random.Generator, level: float, snr: float) -> Mixture:
        dry = self._varied(self._music, self._music.draw(rng), rng)
        (coloured,) = self._coloured(rng, dry)
        target = set_level(coloured, level)
        if snr == math.inf:
            return Mixture(target, target.copy(), level, snr, "music")
        noise, noises = self._draw_noise(rng, "", None)
        heard = target + scaled_noise(noise, level - snr)
        return Mixture(target, heard, level, snr, "music", noises=noises)

    def _tones(self, rng: np.random.Generator, level: float) -> Mixture:
        """Steady tones that begin somewhere in the first quarter, without noise."""
        time_s = np.arange(self.samples) / SAMPLE_RATE_HZ
        sound = np.zeros(self.samples)
        for _ in range(int(rng.integers(1, MOST_TONES + 1))):
            frequency = math.exp(rng.uniform(*np.log(TONE_RANGE_HZ)))
            phase = rng.uniform(0.0, 2.0 * np.pi)
            sound += rng.uniform(0.1, 1.0) * np.sin(2.0 * np.pi * frequency * time_s + phase)
        begin_s = rng.uniform(0.0, 0.25) * time_s[-1]
        sound *= np.clip((time_s - begin_s) / TONE_RISE_S, 0.0, 1.0)
        target = set_level(sound.astype(np.float32), level)
        return Mixture(target, target.copy(), level, math.inf, "music")

    def _noise_only(self, rng: np.random.Generator, noise_level: float) -> Mixture:
        room = self._room(rng)
        noise, noises = self._draw_noise(rng, "", room)
        heard = scaled_noise(noise, noise_level)
        silence = np.zeros_like(heard)
        name = room.name if room else ""
        return Mixture(silence, heard, -math.inf, -math.inf, "none", "", noises, name)

    def _pair(self, rng: np.random.Generator, level: float) -> Mixture:
        first = self._pairs.draw(rng)
        noisy, clean = self._pairs.cut(first, self.samples, rng)
        gain = _gain(clean, level)
        noise_level = units.level_db_spl((noisy - clean) * gain)
        snr = level - noise_level if noise_level > -200.0 else math.inf
        return Mixture(
            clean * gain, noisy * gain, level, snr, "speech", first.utterance.speaker, ("recorded",)
        )

    def _draw_noise(
        self, rng: np.random.Generator, talker: str, room: Room | None
    ) -> tuple[NDArray[np.float32], tuple[str, ...]]:
        """Noise [n] of any level, coloured, in the room, and what it is made of."""
        config = self.config
        noises: tuple[str, ...]
        sort = rng.random()
        if sort < config.babble_share and self._speech:
            noise, noises = self._babble(rng, talker), ("babble",)
        elif sort < config.babble_share + config.coloured_noise_share:
            white = rng.standard_normal(self.samples, dtype=np.float32)
            gains_db = _random_gains_db(rng, COLOURED_NOISE_DB)
            (noise,), noises = _shaped(gains_db, white), ("coloured noise",)
        else:
            noise, noises = self._recorded_noise(rng)
        heard, _ = _in_room(noise, room, rng)
        (coloured,) = self._coloured(rng, heard)
        return coloured, noises

    def _recorded_noise(
        self, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], tuple[str, ...]]:
        first = self._noise.draw(rng)
        noise = self._sped_noise(first, rng)
        if rng.random() >= self.config.second_noise_share:
            return noise, (_noise_class(first),)
        second = self._noise.draw_other(rng, _noise_class(first))
        softer = units.level_db_spl(noise) - float(rng.uniform(*SECOND_NOISE_SOFTER_DB))
        both = noise + scaled_noise(self._sped_noise(second, rng), softer)
        return both, (_noise_class(first), _noise_class(second))

    def _babble(self, rng: np.random.Generator, talker: str) -> NDArray[np.float32]:
        low, high = self.config.babble_talkers
        babble = np.zeros(self.samples, dtype=np.float32)
        for _ in range(int(rng.integers(low, high + 1))):
            first = self._speech.draw_other(rng, talker)
            voice = self._speech.cut(first, self.samples, rng, PAUSES_S)[0]
            babble += set_level(voice, 60.0 + float(rng.uniform(-1.0, 1.0)) * BABBLE_SPREAD_DB)
        return babble

    def _varied(
        self,
        pool: Pool,
        first: Recording,
        rng: np.random.Generator,
        pauses_s: tuple[float, float] = (0.0, 0.0),
    ) -> NDArray[np.float32]:
        """A cut [n] of a recording, at a changed speed at times."""
        if rng.random() >= self.config.speed_share:
            return pool.cut(first, self.samples, rng, pauses_s)[0]
        return self._sped(pool, first, float(rng.uniform(*self.config.speed_range)), rng, pauses_s)

    def _sped_noise(self, first: Recording, rng: np.random.Generator) -> NDArray[np.float32]:
        """A cut [n] of a noise, at the speed that `noise_speed` or else `speed_share` gives."""
        if self.config.noise_speed == 1.0:
            return self._varied(self._noise, first, rng)
        speed = self.config.noise_speed ** float(rng.uniform(-1.0, 1.0))
        return self._sped(self._noise, first, speed, rng)

    def _sped(
        self,
        pool: Pool,
        first: Recording,
        speed: float,
        rng: np.random.Generator,
        pauses_s: tuple[float, float] = (0.0, 0.0),
    ) -> NDArray[np.float32]:
        """A cut [n] of a recording, played at `speed` times its own."""
        needed = math.ceil(self.samples * speed) + SAMPLE_RATE_HZ // 100
        cut = pool.cut(first, needed, rng, pauses_s)[0]
        return resample(cut, SAMPLE_RATE_HZ * speed, SAMPLE_RATE_HZ)[: self.samples]

    def _room(self, rng: np.random.Generator) -> Room | None:
        if rng.random() >= self.config.room_share or not self.rooms:
            return None
        return self.rooms[int(rng.integers(len(self.rooms)))]

    def _coloured(
        self, rng: np.random.Generator, *signals: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], ...]:
        """The signals [n], all through the same microphone's colour or all untouched."""
        if rng.random() >= self.config.colour_share:
            return signals
        return _shaped(_random_gains_db(rng, self.config.colour_db), *signals)


def evaluation_mixtures(
    root: Path,
    split: str = "test",
    count: int = 60,
    snr_range_db: tuple[float, float] = (-5.0, 15.0),
    seconds: float = 4.0,
    seed: int = 0,
) -> list[Mixture]:
    """Mixtures to score systems on: `EVALUATION`, the same every time.

    Mixture i does not depend on `count`. Files for evaluation only are among them.
    """
    config = dataclasses.replace(EVALUATION, snr_range_db=snr_range_db)
    sampler = MixtureSampler(root, split, seconds, seed, config)
    return [sampler.mixture(index) for index in range(count)]


@dataclasses.dataclass(frozen=True)
class Pair:
    """A noisy recording and its clean partner, whole.

    Attributes:
        name: of the file, without suffix.
        speaker: the talker.
        clean_pa: float32 [n], pascals at 16 kHz, active level 65 dB SPL.
        noisy_pa: with the same gain.
    """

    name: str
    speaker: str
    clean_pa: NDArray[np.float32]
    noisy_pa: NDArray[np.float32]


def paired_utterances(root: Path, split: str, count: int | None = None) -> list[Pair]:
    """The pairs of a data set (VoiceBank+DEMAND) in order of name, at most `count`; maybe none.

    Pairs that cannot be read or are of unequal length are left out, and the log names them.
    """
    corpus = open_corpus(root, split)
    pairs: list[Pair] = []
    noisy_files = [u for u in corpus.utterances if u.kind is Kind.NOISY_SPEECH]
    for utterance in sorted(noisy_files, key=lambda u: u.path.name):
        if len(pairs) == count:
            break
        try:
            noisy, clean = _read_rows(utterance)
            gain = _gain(clean, PAIR_LEVEL_DB_SPL)
        except NeuroampError as error:
            corpus.skipped.add(utterance.path, str(error))
            continue
        pairs.append(Pair(utterance.path.stem, utterance.speaker, clean * gain, noisy * gain))
    corpus.skipped.log(f"pairs in {root}, split {split}")
    return pairs


def _decode(
    corpora: Sequence[Corpus], evaluation_only: bool, longest_hours: float
) -> list[Recording]:
    """Every usable recording of the corpora, in their order; the others go to `skipped`."""
    wanted = [
        (corpus, utterance)
        for corpus in corpora
        for utterance in corpus.utterances
        if utterance.kind is not Kind.IMPULSE_RESPONSE
        and (evaluation_only or not utterance.evaluation_only)
    ]
    left = longest_hours * 3600.0
    decoded: dict[int, Recording] = {}
    # In random order, so that what fits of a large corpus is not its first speakers alone.
    for index in np.random.default_rng(0).permutation(len(wanted)):
        corpus, utterance = wanted[index]
        if left <= 0.0:
            logger.warning(
                "only %g hours of audio are held: %d of %d files",
                longest_hours,
                len(decoded),
                len(wanted),
            )
            break
        try:
            recording = _recording(utterance)
        except NeuroampError as error:
            corpus.skipped.add(utterance.path, str(error))
            continue
        decoded[int(index)] = recording
        left -= recording.seconds * recording.samples.shape[0]
    return [decoded[index] for index in sorted(decoded)]


def _recording(utterance: Utterance) -> Recording:
    rows = _read_rows(utterance)
    if rows.shape[1] < SHORTEST_SAMPLES:
        raise NeuroampError(
            f"{utterance.path} has {rows.shape[1]} samples but needs {SHORTEST_SAMPLES} (10 ms); "
            "leave it out."
        )
    # Files decoded from floating point or resampled may pass full scale a little.
    peak = max(float(np.abs(rows).max()), 1.0)
    scaled = np.round(rows * (_FULL_SCALE / peak)).astype(np.int16)
    rms = _rms(scaled[-1].astype(np.float32))
    if rms < 1.0:
        raise NeuroampError(
            f"{utterance.path} or its clean partner is silent (below one step of 16 bits); leave "
            "it out."
        )
    return Recording(utterance, scaled, rms)


def _read_rows(utterance: Utterance) -> NDArray[np.float32]:
    """The samples of a file [1, n], or of a pair [2, n]: noisy, clean."""
    samples = read_mono(utterance.path)
    if utterance.partner is None:
        return samples[np.newaxis]
    clean = read_mono(utterance.partner)
    if clean.size != samples.size:
        raise NeuroampError(
            f"{utterance.path} has {samples.size} samples but its clean partner {clean.size}; "
            "restore the pair."
        )
    return np.stack([samples, clean])


def _talker(recording: Recording) -> str:
    return f"{recording.utterance.corpus}/{recording.utterance.speaker}"


def _noise_class(recording: Recording) -> str:
    return recording.utterance.type or recording.utterance.path.stem


def _path(recording: Recording) -> str:
    return str(recording.utterance.path)


def _crop(recording: Recording, samples: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A random stretch that is not much softer than the whole recording.

    Otherwise a breath between words would be amplified to the level of speech. If a few tries
    find none, the stretch around the highest peak is taken.
    """
    whole = recording.samples
    latest = whole.shape[1] - samples
    enough = recording.rms * 10.0 ** (-QUIET_CROP_DB / 20.0)
    for _ in range(CROPS_TRIED):
        start = int(rng.integers(latest + 1))
        crop = whole[:, start : start + samples].astype(np.float32)
        if _rms(crop[-1]) >= enough:
            return crop / np.float32(_FULL_SCALE)
    peak = int(np.argmax(np.abs(whole[-1].astype(np.int32))))
    start = int(np.clip(peak - samples // 2, 0, latest))
    return whole[:, start : start + samples].astype(np.float32) / np.float32(_FULL_SCALE)


def _rms(samples: NDArray[np.float32]) -> float:
    return math.sqrt(float(np.dot(samples, samples)) / samples.size)


def _gain(target: NDArray[np.float32], level: float) -> np.float32:
    """The factor that brings a target [n] to an active level in dB SPL."""
    now = active_level_db_spl(target)
    if now <= -200.0:
        raise NeuroampError("a stretch of the clean recording is silent; leave its file out.")
    return np.float32(10.0 ** ((level - now) / 20.0))


def _in_room(
    signal: NDArray[np.float32], room: Room | None, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The signal [n] at one place of a room: all of it, and its early part; dry without a room."""
    if room is None:
        return signal, signal
    return convolve_room(signal, room.responses[int(rng.integers(len(room.responses)))])


def _triangular(rng: np.random.Generator, levels: tuple[float, float, float]) -> float:
    low, mode, high = levels
    return float(rng.triangular(low, mode, high)) if high > low else low


def _random_gains_db(rng: np.random.Generator, spread_db: float) -> NDArray[np.float64]:
    """Gains at the octaves from 125 to 8000 Hz, dB."""
    return rng.uniform(-spread_db, spread_db, _OCTAVES_HZ.size)


def _shaped(
    gains_db: NDArray[np.float64], *signals: NDArray[np.float32]
) -> tuple[NDArray[np.float32], ...]:
    """Signals [n] with gains given at octaves, straight lines in dB over log frequency between."""
    samples = signals[0].size
    length = fft.next_fast_len(samples + SAMPLE_RATE_HZ // 50, real=True)
    frequencies = np.maximum(fft.rfftfreq(length, 1.0 / SAMPLE_RATE_HZ), 1.0)
    gain_db = np.interp(np.log2(frequencies), np.log2(_OCTAVES_HZ), gains_db)
    gain = (10.0 ** (gain_db / 20.0)).astype(np.float32)
    return tuple(
        fft.irfft(fft.rfft(signal, length) * gain, length)[:samples].astype(np.float32, copy=False)
        for signal in signals
    )
