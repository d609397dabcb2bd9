"""`neuroamp demo`: a sentence in a noisy tavern, before and after: to hear, to see, measured."""

from __future__ import annotations

import argparse
import dataclasses
import math
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import soundfile
from neuroamp.audiogram import Ear, Listener
from neuroamp.audiogram_files import load_listener
from neuroamp.bands import CHANNEL_FREQUENCIES_HZ
from neuroamp.chain import EarChain
from neuroamp.engines import open_engine
from neuroamp.errors import NeuroampError
from neuroamp.fitting import Fitting
from neuroamp.profile import WEAR
from neuroamp.recording import DEFAULT_FULL_SCALE_DB_SPL, Recording, write_recording
from neuroamp.released import DEFAULT_MODEL, find_model
from neuroamp.units import db_spl_from_pascal, level_db_spl
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from neuroamp_host.corpora.levels import active_level_db_spl
from neuroamp_host.evaluation.figures import (
    SYSTEM_COLOURS,
    Curve,
    draw_audiogram,
    draw_gains,
    draw_scores,
    draw_spectrogram,
)
from neuroamp_host.evaluation.metrics import ReferenceEar
from neuroamp_host.evaluation.separation import separate, third_octave_gain_db
from neuroamp_host.evaluation.systems import NAL_R_WDRC, NEUROAMP, UNPROCESSED, systems
from neuroamp_host.prescription.fit import make_fitting

Sound = NDArray[np.float64]
Process = Callable[[Sound], Sound]

SAMPLE_RATE_HZ = 16000
SPEECH_LEVEL_DB_SPL = 65.0
SNR_RANGE_DB = (-10.0, 30.0)
LEAD_SAMPLES = SAMPLE_RATE_HZ
"""The noise is alone for this long, so that a compressor has settled when the speech begins."""

WAV_NAMES = {
    UNPROCESSED: "before.wav",
    NAL_R_WDRC: "after-nal-r-wdrc.wav",
    NEUROAMP: "after-neuroamp.wav",
}


@dataclasses.dataclass(frozen=True)
class Scene:
    """What reaches the listener's ear: speech, and the noise that begins before it.

    Attributes:
        speech_pa, noise_pa: shape [samples], pascals at 16 kHz.
    """

    speech_pa: Sound
    noise_pa: Sound

    @property
    def mixture_pa(self) -> Sound:
        """Speech and noise together."""
        return self.speech_pa + self.noise_pa


@dataclasses.dataclass(frozen=True)
class Heard:
    """What one hearing aid makes of a scene, and how the listener fares with it.

    Attributes:
        mixture_pa: the aid's output, shape [samples], pascals.
        speech_pa, noise_pa: the two parts of it.
        haspi, hasqi: scores, 0 to 1.
    """

    mixture_pa: Sound
    speech_pa: Sound
    noise_pa: Sound
    haspi: float
    hasqi: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument(
        "--audiogram",
        default="N3",
        metavar="FILE_OR_NAME",
        help="audiogram file, or a standard audiogram: N1 to N7, S1 to S3 (default N3)",
    )
    parser.add_argument(
        "--ear",
        choices=[ear.value for ear in Ear],
        help="which ear to show (default: the right one, or the only one)",
    )
    parser.add_argument(
        "--snr", type=float, default=4.0, metavar="DB", help="speech over noise, dB (default 4)"
    )
    parser.add_argument(
        "--model", help=f"model file, or the name of a released model (default: {DEFAULT_MODEL})"
    )
    parser.add_argument(
        "--engine", default="auto", help="engine that runs the net: onnx, tflite or auto"
    )
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="folder for the results")


def run(options: argparse.Namespace) -> int:
    """Processes, scores, writes and prints."""
    console = Console(highlight=False)
    listener = load_listener(options.audiogram)
    ear = choose_ear(listener, options.ear)
    audiogram = listener.ear(ear)
    scene = make_scene(options.snr)
    model = _find_model(options.model, options.engine, console)

    available = systems(model, options.engine)
    aids: dict[str, Process] = {
        name: lambda sound, system=available[name]: system(sound, audiogram)  # type: ignore[misc]
        for name in WAV_NAMES
        if name in available
    }
    judge = ReferenceEar(_spoken(scene.speech_pa), SAMPLE_RATE_HZ, audiogram.six_point())
    heard = {}
    with console.status("") as status:
        for name, aid in aids.items():
            status.update(f"processing and scoring: {name}")
            heard[name] = listen(aid, scene, judge)
        amplified_clean = aids[NAL_R_WDRC](scene.speech_pa)

    fitting = make_fitting(audiogram, ear)
    options.out.mkdir(parents=True, exist_ok=True)
    full_scale = write_sounds(options.out, heard)
    curves = gain_curves(fitting, scene, amplified_clean, heard)
    draw(options.out / "demo.png", listener, curves, heard)

    title = f"{listener.name}, {ear.value} ear: speech at 65 dB SPL in tavern noise"
    console.print(render(title, heard))
    for line in timing(model, options.engine, fitting, scene.mixture_pa):
        console.print(line)
    console.print(
        f"Listen to {', '.join(WAV_NAMES[name] for name in heard)} (one scale: a digital RMS of "
        f"1.0 is {full_scale} dB SPL) and look at demo.png, all in {options.out}."
    )
    return 0


def choose_ear(listener: Listener, wanted: str | None) -> Ear:
    """The ear asked for; otherwise the right one, or the left where it is the only one."""
    if wanted is not None:
        return Ear(wanted)
    return Ear.LEFT if listener.right is None else Ear.RIGHT


def make_scene(snr_db: float) -> Scene:
    """The sentence that comes with the project at 65 dB SPL, in the noise that comes with it.

    Raises:
        NeuroampError: the SNR is out of range.
    """
    low, high = SNR_RANGE_DB
    if not low <= snr_db <= high:
        raise NeuroampError(
            f"--snr is {snr_db:g} dB but must be from {low:g} to {high:g} dB; correct it."
        )
    sentence, noise = _shipped("speech.flac"), _shipped("noise.flac")
    sentence = _louder(sentence, SPEECH_LEVEL_DB_SPL - active_level_db_spl(sentence))
    speech = np.concatenate([np.zeros(LEAD_SAMPLES), sentence])
    noise = noise[: speech.size]
    noise = _louder(noise, SPEECH_LEVEL_DB_SPL - snr_db - level_db_spl(_spoken(noise)))
    return Scene(speech, noise)


def listen(aid: Process, scene: Scene, judge: ReferenceEar) -> Heard:
    """An aid's output for a scene, its parts and its scores while there is speech."""
    mixture = aid(scene.mixture_pa)
    speech, noise = separate(aid, scene.speech_pa, scene.noise_pa)
    haspi, hasqi = judge.haspi_hasqi(_spoken(mixture))
    return Heard(mixture, speech, noise, haspi.score, hasqi.score)


def gain_curves(
    fitting: Fitting, scene: Scene, amplified_clean_pa: Sound, heard: dict[str, Heard]
) -> list[Curve]:
    """The gain prescribed for 65 dB SPL, and what was measured on the sounds of this demo."""

    def measured(before_pa: Sound, after_pa: Sound) -> Sound:
        return third_octave_gain_db(
            _spoken(before_pa), _spoken(after_pa), SAMPLE_RATE_HZ, CHANNEL_FREQUENCIES_HZ
        )

    frequencies = CHANNEL_FREQUENCIES_HZ
    _, wdrc_colour, net_colour, *_ = SYSTEM_COLOURS
    wdrc_gain = measured(scene.speech_pa, amplified_clean_pa)
    curves = [
        Curve("NAL-R, prescribed for 65 dB SPL", frequencies, fitting.gain_65_db, "black", "", "o"),
        Curve(f"{NAL_R_WDRC}, on clean speech", frequencies, wdrc_gain, wdrc_colour, "-", "^"),
    ]
    if NEUROAMP in heard:
        net = heard[NEUROAMP]
        for label, line, gain in (
            ("on the speech in noise", "-", measured(scene.speech_pa, net.speech_pa)),
            ("on the noise around it", "--", measured(scene.noise_pa, net.noise_pa)),
        ):
            curves.append(Curve(f"{NEUROAMP}, {label}", frequencies, gain, net_colour, line, "D"))
    return curves


def draw(path: Path, listener: Listener, curves: list[Curve], heard: dict[str, Heard]) -> None:
    """The picture: listener, gains and scores above, a spectrogram for each sound below."""
    figure = plt.figure(figsize=(13.0, 8.2), layout="constrained")
    rows = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.12, 1.0), hspace=0.04)
    above, below = rows[:, 0]
    audiogram_axes, gain_axes, score_axes = above.subplots(1, 3, width_ratios=(1.0, 1.15, 1.15))
    audiograms = {Ear.RIGHT: listener.right, Ear.LEFT: listener.left}
    draw_audiogram(audiogram_axes, {ear: a for ear, a in audiograms.items() if a is not None})
    audiogram_axes.set_title(f"Audiogram: {listener.name}")
    draw_gains(gain_axes, curves)
    gain_axes.set_title("Insertion gain")
    draw_scores(score_axes, {n: {"HASPI": h.haspi, "HASQI": h.hasqi} for n, h in heard.items()})
    score_axes.set_title("Intelligibility (HASPI) and quality (HASQI)")

    panels = below.subplots(1, len(heard), sharey=True, squeeze=False)[0]
    for axes, (name, result) in zip(panels, heard.items(), strict=True):
        mesh = draw_spectrogram(axes, result.mixture_pa)
        word = "Before" if name == UNPROCESSED else "After"
        axes.set_title(f"{word}: {name}, {level_db_spl(_spoken(result.mixture_pa)):.0f} dB SPL")
        axes.label_outer()
    below.colorbar(mesh, ax=list(panels), label="level per 31 Hz, dB SPL", pad=0.01, aspect=30)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def render(title: str, heard: dict[str, Heard]) -> Table:
    """Levels, SNR and scores, a row for each sound; the lead without speech does not count."""
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for heading in ("level\ndB SPL", "speech\ndB SPL", "noise\ndB SPL", "SNR\ndB"):
        table.add_column(heading, justify="right")
    for heading in ("HASPI\n0 to 1", "HASQI\n0 to 1"):
        table.add_column(heading, justify="right")
    for name, result in heard.items():
        speech = active_level_db_spl(_spoken(result.speech_pa))
        noise = level_db_spl(_spoken(result.noise_pa))
        table.add_row(
            name,
            f"{level_db_spl(_spoken(result.mixture_pa)):.1f}",
            f"{speech:.1f}",
            f"{noise:.1f}",
            f"{speech - noise:.1f}",
            f"{result.haspi:.3f}",
            f"{result.hasqi:.3f}",
        )
    return table


def timing(model: Path | None, engine: str, fitting: Fitting, sound_pa: Sound) -> list[str]:
    """Sentences on the model, the delay, and each hop's computing time on this machine."""
    net = None if model is None else open_engine(model, engine)
    profile = WEAR if net is None else net.info.profile
    chain = EarChain(profile, fitting, net)
    hops = sound_pa[: sound_pa.size // profile.hop * profile.hop].reshape(-1, profile.hop)
    taken = np.empty(len(hops))
    for index, hop in enumerate(hops):
        began = time.perf_counter()
        chain.process(hop)
        taken[index] = time.perf_counter() - began
    rate = profile.sample_rate_hz
    median, rare, longest = 1e3 * np.quantile(taken, (0.5, 0.99, 1.0))
    lines = [] if model is None else [f"Model: {model.name}, profile {profile.name}."]
    return [
        *lines,
        f"Delay: {1e3 * profile.delay_samples / rate:g} ms ({profile.delay_samples} samples at "
        f"{rate} Hz), computing time not counted.",
        f"Time per frame of {1e3 * profile.hop / rate:g} ms on this machine: median "
        f"{median:.2f} ms, 99 % within {rare:.2f} ms, longest {longest:.2f} ms ({taken.size} "
        f"frames; one ear, {'prescription alone' if net is None else 'net included'}).",
    ]


def write_sounds(out: Path, heard: dict[str, Heard]) -> int:
    """The sounds as WAV files, all on one scale and none clipped.

    Returns:
        The scale: the level in whole dB SPL of a digital RMS of 1.0.
    """
    peak_pa = max(float(np.abs(result.mixture_pa).max()) for result in heard.values())
    full_scale = math.ceil(max(DEFAULT_FULL_SCALE_DB_SPL, float(db_spl_from_pascal(peak_pa))))
    for name, result in heard.items():
        sound = Recording(result.mixture_pa[np.newaxis], SAMPLE_RATE_HZ, "PCM_16")
        write_recording(out / WAV_NAMES[name], sound, full_scale)
    return full_scale


def _find_model(wanted: str | None, engine: str, console: Console) -> Path | None:
    try:
        return find_model(wanted or DEFAULT_MODEL, engine)
    except NeuroampError:
        if wanted is not None:
            raise
        console.print("There is no released model here yet, so this is the prescription alone.")
        return None


def _shipped(name: str) -> Sound:
    with (resources.files("neuroamp_host") / "demo_audio" / name).open("rb") as file:
        sound, _ = soundfile.read(file)
    return np.asarray(sound, dtype=np.float64)


def _louder(sound_pa: Sound, gain_db: float) -> Sound:
    return sound_pa * 10.0 ** (gain_db / 20.0)


def _spoken(sound_pa: Sound) -> Sound:
    return sound_pa[LEAD_SAMPLES:]
