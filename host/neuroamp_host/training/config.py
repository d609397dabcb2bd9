"""A training run's settings: one TOML file, checked before anything is computed."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path

from neuroamp.errors import NeuroampError

from neuroamp_host.enhancement.nets import ENHANCERS
from neuroamp_host.networks.registry import NETS

TRAINABLE = (*NETS, *ENHANCERS)


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """Settings of one run.

    Attributes:
        net: a name of `neuroamp_host.networks.registry.NETS` or of
            `neuroamp_host.enhancement.nets.ENHANCERS`.
        causal: false lets a net of the paper hear the future as well, to measure what causality
            costs in dev loss; such a net cannot be exported.
        seed: seeds the net's start, the mixtures and the audiograms.
        denoise: train for the clean signal's amplification (the paper's Eq. 8); otherwise for
            that of the input as it is (Eq. 6).
        rule: prescription of the target.
        steady: share of the compressor's changes over each signal that the target lacks, 0 to 1:
            at 1 it has the mean gains, so that a net also undoes fast compression.
        tone_share: share of the mixtures that are steady tones, to be kept.
        music_share: share of the mixtures that are music, to be kept.
        clean_music_share: share of the music that is without noise; a half in the paper.
        clean_share: share of the speech that is without noise.
        enhanced_share: share of the noisy speech that comes to the net through a released
            enhancer, the two as often as each other; two thirds in the paper (section IV.A).
        noise_speed: recorded noise is played up to so many times faster or slower; 1 for not.
        start: a checkpoint whose weights the run begins with; empty for a fresh net.
        batch: signals a step.
        listeners: ears that hear each mixture, as so many signals of the batch.
        seconds: length of each signal.
        steps: optimiser steps at most.
        learning_rate: Adam's peak rate; it falls to a tenth over the run (cosine).
        warmup_steps: steps over which the rate rises from zero.
        gradient_norm: gradients are scaled down to this norm.
        dev_every: steps between two looks at the dev split.
        dev_batches: batches of one such look.
        patience: looks without a better dev loss after which training stops.
        heard: a 'log-magnitude' net minimises what the listener hears (`losses.HeardMagnitudes`)
            and beside it the paper's error, with `magnitude_weight`.
        magnitude_weight: see `heard`.
        smooth_gains: a 'log-magnitude' net is trained for the gains that the device makes of its
            output where these are smooth across frequency (`neuroamp.features.GainsInBands`), and
            is exported so.
        audible_weight, envelope_weight, waveform_weight, quality_weight: shares of the terms of
            `losses.WearLoss`; without meaning for a 'log-magnitude' net that minimises the
            paper's mean squared error alone, and for an enhancer.
        lost_speech_weight: how much more a level below the target costs than one above it.
        quantised_steps: the last steps, in which the net computes with its weights rounded to
            8 bits, one scale a row, as the exported files hold them (quantisation-aware).
    """

    net: str
    causal: bool = True
    seed: int = 1
    denoise: bool = True
    rule: str = "nal-r"
    steady: float = 0.0
    tone_share: float = 0.0
    music_share: float = 0.1
    clean_music_share: float = 0.5
    clean_share: float = 0.1
    enhanced_share: float = 0.0
    noise_speed: float = 1.0
    start: str = ""
    batch: int = 16
    listeners: int = 1
    seconds: float = 2.0
    steps: int = 4000
    learning_rate: float = 2e-3
    warmup_steps: int = 100
    gradient_norm: float = 1.0
    dev_every: int = 200
    dev_batches: int = 8
    patience: int = 10
    heard: bool = False
    magnitude_weight: float = 1.0
    smooth_gains: bool = False
    audible_weight: float = 1.0
    envelope_weight: float = 1.0
    waveform_weight: float = 1.0
    quality_weight: float = 0.0
    lost_speech_weight: float = 2.0
    quantised_steps: int = 0

    def __post_init__(self) -> None:
        if self.net not in TRAINABLE:
            raise NeuroampError(
                f"the config asks for the net {self.net!r} but there are only "
                f"{', '.join(TRAINABLE)}; correct `net`."
            )
        if not (self.causal or (self.net in NETS and NETS[self.net].can_hear_the_future)):
            raise NeuroampError(
                f"the config asks for causal = false but the net {self.net!r} is for wearing and "
                "always causal; leave the key out or choose one of the paper's nets."
            )
        if self.listeners < 1 or self.batch % self.listeners:
            raise NeuroampError(
                f"the config's batch is {self.batch} but must be a multiple of listeners, "
                f"{self.listeners}; correct one of them."
            )
        if self.smooth_gains and not (
            self.net in NETS and NETS[self.net].profile.output == "log-magnitude"
        ):
            raise NeuroampError(
                f"the config asks for smooth_gains but the net {self.net!r} gives no magnitudes; "
                "leave the key out or choose one of the paper's nets."
            )
        if not 0.0 <= self.enhanced_share <= (0.0 if self.net in ENHANCERS else 1.0):
            raise NeuroampError(
                f"the config's enhanced_share is {self.enhanced_share} but must be from 0 to 1, "
                "and 0 for an enhancer; correct it."
            )
        for name in ("batch", "seconds", "steps", "learning_rate", "dev_every", "dev_batches"):
            if not getattr(self, name) > 0:
                raise NeuroampError(
                    f"the config's {name} is {getattr(self, name)} but must be above 0; correct it."
                )


def load_config(path: Path) -> TrainingConfig:
    """Settings from a TOML file.

    Raises:
        NeuroampError: the file is missing or not TOML, a key is unknown or of another type.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NeuroampError(
            f"cannot read the config {path} ({error.strerror}); give the path of a TOML file."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise NeuroampError(f"the config {path} is not TOML ({error}); correct it.") from None
    fields = {field.name: field for field in dataclasses.fields(TrainingConfig)}
    for key, value in data.items():
        if key not in fields:
            raise NeuroampError(
                f"the config {path} has the unknown key {key!r}; known are {', '.join(fields)}."
            )
        wanted: tuple[type, ...] = {
            "str": (str,),
            "int": (int,),
            "bool": (bool,),
            "float": (int, float),
        }[str(fields[key].type)]
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            raise NeuroampError(
                f"the config {path} has {key} = {value!r} but {fields[key].type} is expected; "
                "correct it."
            )
    if "net" not in data:
        raise NeuroampError(f"the config {path} names no `net`; add one of {', '.join(TRAINABLE)}.")
    return TrainingConfig(**data)
