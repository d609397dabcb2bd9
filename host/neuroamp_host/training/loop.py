"""The training loop: steps, looks at the dev split, early stopping, resumable checkpoints, logs."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from neuroamp.errors import NeuroampError
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from neuroamp_host.corpora.mixing import Mixture, MixtureConfig, MixtureSampler
from neuroamp_host.enhancement.enhance import TrainedEnhancer, load_enhancer
from neuroamp_host.enhancement.nets import ENHANCERS
from neuroamp_host.training import checkpoint
from neuroamp_host.training.config import TrainingConfig
from neuroamp_host.training.examples import Draw, draw_of, prefetch, sample_listener
from neuroamp_host.training.objectives import Objective, Task, as_floats, objective_for
from neuroamp_host.training.quantised import quantised_weights
from neuroamp_host.training.run_log import RunLog
from neuroamp_host.training.stepping import Stepper
from neuroamp_host.training.team import Team
from neuroamp_host.training.trainable import build_any


@dataclasses.dataclass
class Progressed:
    """Where a run stands."""

    step: int = 0
    best_loss: float = math.inf
    looks_without_better: int = 0
    seconds: float = 0.0


def train(
    config: TrainingConfig,
    data: Path | Sequence[Path],
    out: Path,
    resume: bool = True,
    device: str = "cpu",
    workers: int = 1,
) -> Path:
    """Trains to the end or to early stopping; returns the path of the best checkpoint.

    Writes under `out`: `last.pt` (everything needed to go on), `best.pt` (lowest dev loss),
    `log.csv`, `config.json`, `loss.png`. The same config, data and seed give the same batches
    whether or not the run was interrupted, on any device, with any number of workers and of
    processes. Under torchrun every process takes an equal part of each batch, and the first one
    writes.

    Args:
        config: the run's settings.
        data: root or roots of the training data, see `MixtureSampler`.
        out: folder of the run.
        resume: go on from `last.pt` where there is one.
        device: 'cpu' or 'cuda'.
        workers: processes that make batches ahead.

    Raises:
        NeuroampError: the data are missing, `out` holds a run of another config, the device is
            not there, the processes cannot share a batch evenly, or the loss stopped being a
            number.
    """
    team = Team(config, device)
    out.mkdir(parents=True, exist_ok=True)
    if team.first:
        _keep_config(config, out)
    torch.manual_seed(config.seed)
    net = build_any(config.net, config.causal)
    if config.start:
        net.load_state_dict(checkpoint.load(Path(config.start))["state_dict"])
    net.to(device)
    objective = objective_for(net, config).to(device)
    stepper = Stepper(objective, net, config)
    progress = Progressed()
    last, best = out / "last.pt", out / "best.pt"
    if resume and last.exists():
        content = checkpoint.load(last)
        net.load_state_dict(content["state_dict"])
        stepper.optimiser.load_state_dict(content["optimiser"])
        progress = Progressed(**content["progress"])
    drawn = MixtureConfig(
        tone_share=config.tone_share,
        music_share=config.music_share,
        clean_music_share=config.clean_music_share,
        clean_share=config.clean_share,
        noise_speed=config.noise_speed,
    )
    train_mixtures = MixtureSampler(data, "train", config.seconds, config.seed, drawn)
    dev_mixtures = MixtureSampler(data, "dev", config.seconds, config.seed, drawn)

    def draws(mixtures: MixtureSampler, split: int) -> Callable[[int], Draw]:
        return lambda index: _draw(config, mixtures, split, index)

    def train_batch(index: int) -> Task | Draw:
        draw = team.part_of(draws(train_mixtures, 0)(index))
        return objective.prepare(draw) if device == "cpu" else draw

    dev = [
        objective.prepare(draws(dev_mixtures, 1)(index).to(device))
        for index in range(config.dev_batches)
    ]
    batches = prefetch(train_batch, progress.step, config.steps, workers)
    running: list[dict[str, float]] = []
    with _bar(team.first) as bar, RunLog(out / "log.csv", team.first) as log:
        task = bar.add_task("training", total=config.steps, completed=progress.step, note="")
        while progress.step < config.steps and progress.looks_without_better < config.patience:
            began = time.monotonic()
            rate = _learning_rate(config, progress.step)
            quantised = progress.step >= config.steps - config.quantised_steps
            terms = as_floats(stepper.step(next(batches), rate, quantised))
            if not math.isfinite(terms["loss"]):
                raise NeuroampError(
                    f"the loss is no longer a number at step {progress.step}; lower learning_rate "
                    f"and train again from {last}."
                )
            progress.step += 1
            progress.seconds += time.monotonic() - began
            running.append(terms)
            bar.update(task, advance=1, note=f"loss {terms['loss']:.3f}")
            if progress.step % config.dev_every and progress.step < config.steps:
                continue
            with quantised_weights(net, quantised):
                dev_terms = evaluate(objective, dev)
            better = dev_terms["loss"] < progress.best_loss
            progress.best_loss = min(progress.best_loss, dev_terms["loss"])
            progress.looks_without_better = 0 if better else progress.looks_without_better + 1
            for split, values in (("train", _mean(running)), ("dev", dev_terms)):
                log.write(progress.step, split, progress.seconds, rate, values)
            running.clear()
            content = {
                "net": config.net,
                "state_dict": {name: value.cpu() for name, value in net.state_dict().items()},
                "config": dataclasses.asdict(config),
                "step": progress.step,
                "dev_loss": dev_terms["loss"],
            }
            if better and team.first:
                checkpoint.save(best, content)
            whole = {
                "optimiser": stepper.optimiser.state_dict(),
                "progress": dataclasses.asdict(progress),
            }
            if team.first:
                checkpoint.save(last, content | whole)
    team.leave()
    return best


@torch.no_grad()
def evaluate(objective: Objective, batches: list[Task]) -> dict[str, float]:
    """Mean loss terms over batches."""
    return _mean([as_floats(objective(batch)) for batch in batches])


def _draw(config: TrainingConfig, mixtures: MixtureSampler, split: int, index: int) -> Draw:
    # A generator per batch: batch 1234 is the same after a restart.
    rng = np.random.default_rng([config.seed, split, index])
    drawn = [mixtures.draw(rng) for _ in range(config.batch // config.listeners)]
    heard_pa = [_heard_pa(mixture, config.enhanced_share, rng) for mixture in drawn]
    return draw_of(
        np.repeat([mixture.clean_pa for mixture in drawn], config.listeners, axis=0),
        np.repeat(heard_pa, config.listeners, axis=0),
        [sample_listener(rng) for _ in range(config.batch)],
        config.rule,
    )


def _heard_pa(
    mixture: Mixture, enhanced_share: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """What the net is given of a mixture: the noisy sound, or what an enhancer makes of it."""
    is_noisy_speech = mixture.target == "speech" and math.isfinite(mixture.snr_db)
    if enhanced_share == 0.0 or not is_noisy_speech or rng.random() >= enhanced_share:
        return mixture.noisy_pa
    name = tuple(ENHANCERS)[int(rng.integers(len(ENHANCERS)))]
    return _enhancer(name).enhance(mixture.noisy_pa.astype(np.float64)).astype(np.float32)


@functools.cache
def _enhancer(name: str) -> TrainedEnhancer:
    return load_enhancer(name)


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


def _bar(shown: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        disable=not shown,
    )
