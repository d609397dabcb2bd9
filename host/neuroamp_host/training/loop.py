"""The training loop: steps, looks at the dev split, early stopping, resumable checkpoints, logs."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from neuroamp.errors import NeuroampError
from neuroamp.features import Features
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from neuroamp_host.corpora.mixing import MixtureConfig, MixtureSampler
from neuroamp_host.networks.net import Net
from neuroamp_host.networks.registry import build
from neuroamp_host.training import checkpoint
from neuroamp_host.training.config import TrainingConfig
from neuroamp_host.training.examples import Batch, make_batch, prefetch, sample_listener
from neuroamp_host.training.losses import Sounds, WearLoss, Weights, magnitude_error
from neuroamp_host.training.quantised import quantised_weights

LOG_COLUMNS = (
    "step",
    "split",
    "seconds",
    "learning_rate",
    "loss",
    "audible",
    "envelope",
    "waveform",
    "quality",
)


@dataclasses.dataclass(frozen=True)
class Task:
    """A batch as the objective takes it.

    Attributes:
        features, audiogram: the net's inputs, see `Batch`.
        wanted: what its output is compared with: the sounds for a 'band-gain' net, the target's
            features [batch, steps, features] for a 'log-magnitude' one.
    """

    features: torch.Tensor
    audiogram: torch.Tensor
    wanted: Sounds | torch.Tensor


class Objective:
    """Turns a net and a task into named loss terms; 'loss' is the one to minimise."""

    def __init__(self, net: Net, config: TrainingConfig) -> None:
        self._net = net
        self._low = net.profile.gain_min_db
        self._span = net.profile.gain_max_db - net.profile.gain_min_db
        self._features = Features(net.profile)
        self._wear_loss = None
        if net.profile.output == "band-gain":
            self._wear_loss = WearLoss(
                net.profile,
                Weights(
                    audible=config.audible_weight,
                    envelope=config.envelope_weight,
                    waveform=config.waveform_weight,
                    quality=config.quality_weight,
                    lost_speech=config.lost_speech_weight,
                ),
            )

    def task(self, batch: Batch) -> Task:
        """What of a batch this objective needs; computed where the batch is made."""
        wanted: Sounds | torch.Tensor
        if self._wear_loss is None:
            features = self._features(batch.target.numpy())
            wanted = torch.from_numpy(features.astype(np.float32))
        else:
            wanted = self._wear_loss.sounds(batch.prescribed, batch.target, batch.clean)
        return Task(batch.features, batch.audiogram, wanted)

    def __call__(self, task: Task) -> dict[str, torch.Tensor]:
        """Loss terms, scalars."""
        output = self._net(task.features, task.audiogram)
        if isinstance(task.wanted, torch.Tensor):
            return {"loss": magnitude_error(output, task.wanted)}
        assert self._wear_loss is not None
        return self._wear_loss(self._low + self._span * output, task.wanted, task.audiogram)


@dataclasses.dataclass
class Progressed:
    """Where a run stands."""

    step: int = 0
    best_loss: float = math.inf
    looks_without_better: int = 0
    seconds: float = 0.0


def train(config: TrainingConfig, data: Path, out: Path, resume: bool = True) -> Path:
    """Trains to the end or to early stopping; returns the path of the best checkpoint.

    Writes under `out`: `last.pt` (everything needed to go on), `best.pt` (lowest dev loss),
    `log.csv`, `config.json`, `loss.png`. The same config, data and seed give the same batches
    whether or not the run was interrupted.

    Raises:
        NeuroampError: the data are missing, `out` holds a run of another config, or the loss
            stopped being a number.
    """
    out.mkdir(parents=True, exist_ok=True)
    _keep_config(config, out)
    torch.manual_seed(config.seed)
    net = build(config.net, config.causal)
    optimiser = torch.optim.Adam(net.parameters(), lr=config.learning_rate)
    progress = Progressed()
    last, best = out / "last.pt", out / "best.pt"
    if resume and last.exists():
        content = checkpoint.load(last)
        net.load_state_dict(content["state_dict"])
        optimiser.load_state_dict(content["optimiser"])
        progress = Progressed(**content["progress"])
    drawn = MixtureConfig(tone_share=config.tone_share)
    train_mixtures = MixtureSampler(data, "train", config.seconds, config.seed, drawn)
    dev_mixtures = MixtureSampler(data, "dev", config.seconds, config.seed, drawn)
    objective = Objective(net, config)

    def batch_of(mixtures: MixtureSampler, split: int) -> Callable[[int], Task]:
        return lambda index: objective.task(_make(net, config, mixtures, split, index))

    dev = [batch_of(dev_mixtures, 1)(index) for index in range(config.dev_batches)]
    batches = prefetch(batch_of(train_mixtures, 0), progress.step, config.steps)
    running: list[dict[str, float]] = []
    with _bar() as bar, (out / "log.csv").open("a", newline="", encoding="utf-8") as log_file:
        log = csv.DictWriter(log_file, LOG_COLUMNS, restval="")
        if log_file.tell() == 0:
            log.writeheader()
        task = bar.add_task("training", total=config.steps, completed=progress.step, note="")
        while progress.step < config.steps and progress.looks_without_better < config.patience:
            began = time.monotonic()
            rate = _learning_rate(config, progress.step)
            for group in optimiser.param_groups:
                group["lr"] = rate
            quantised = progress.step >= config.steps - config.quantised_steps
            with quantised_weights(net, quantised):
                terms = objective(next(batches))
                optimiser.zero_grad(set_to_none=True)
                terms["loss"].backward()  # type: ignore[no-untyped-call]
            if not torch.isfinite(terms["loss"]):
                raise NeuroampError(
                    f"the loss is no longer a number at step {progress.step}; lower learning_rate "
                    f"and train again from {last}."
                )
            torch.nn.utils.clip_grad_norm_(net.parameters(), config.gradient_norm)
            optimiser.step()
            progress.step += 1
            progress.seconds += time.monotonic() - began
            running.append({name: float(value.detach()) for name, value in terms.items()})
            bar.update(task, advance=1, note=f"loss {running[-1]['loss']:.3f}")
            if progress.step % config.dev_every and progress.step < config.steps:
                continue
            with quantised_weights(net, quantised):
                dev_terms = evaluate(objective, dev)
            better = dev_terms["loss"] < progress.best_loss
            progress.best_loss = min(progress.best_loss, dev_terms["loss"])
            progress.looks_without_better = 0 if better else progress.looks_without_better + 1
            for split, values in (("train", _mean(running)), ("dev", dev_terms)):
                log.writerow(
                    {
                        "step": progress.step,
                        "split": split,
                        "seconds": round(progress.seconds, 1),
                        "learning_rate": f"{rate:.3g}",
                        **{name: f"{value:.5f}" for name, value in values.items()},
                    }
                )
            log_file.flush()
            running.clear()
            content = {
                "net": config.net,
                "state_dict": net.state_dict(),
                "config": dataclasses.asdict(config),
                "step": progress.step,
                "dev_loss": dev_terms["loss"],
            }
            if better:
                checkpoint.save(best, content)
            whole = {"optimiser": optimiser.state_dict(), "progress": dataclasses.asdict(progress)}
            checkpoint.save(last, content | whole)
    return best


@torch.no_grad()
def evaluate(objective: Objective, batches: list[Task]) -> dict[str, float]:
    """Mean loss terms over batches."""
    return _mean([{k: float(v) for k, v in objective(batch).items()} for batch in batches])


def _make(
    net: Net, config: TrainingConfig, mixtures: MixtureSampler, split: int, index: int
) -> Batch:
    # A generator per batch: batch 1234 is the same after a restart.
    rng = np.random.default_rng([config.seed, split, index])
    drawn = [mixtures.draw(rng) for _ in range(config.batch)]
    return make_batch(
        net.profile,
        np.stack([mixture.clean_pa for mixture in drawn]),
        np.stack([mixture.noisy_pa for mixture in drawn]),
        [sample_listener(rng) for _ in drawn],
        config.rule,
        config.denoise,
        config.steady,
    )


def _learning_rate(config: TrainingConfig, step: int) -> float:
    rise = min(1.0, (step + 1) / max(config.warmup_steps, 1))
    fall = 0.55 + 0.45 * math.cos(math.pi * min(1.0, step / config.steps))
    return config.learning_rate * rise * fall


def _mean(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _keep_config(config: TrainingConfig, out: Path) -> None:
    path = out / "config.json"
    given = dataclasses.asdict(config)
    # A run that began before a setting existed had its default.
    defaults = {
        field.name: field.default
        for field in dataclasses.fields(config)
        if field.default is not dataclasses.MISSING
    }
    if path.exists() and defaults | json.loads(path.read_text(encoding="utf-8")) != given:
        raise NeuroampError(
            f"{out} holds a run of another config; choose another folder with --out or delete it."
        )
    path.write_text(json.dumps(given, indent=2, sort_keys=True), encoding="utf-8")


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
