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
from neuroamp.bands import band_matrix
from neuroamp.errors import NeuroampError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from neuroamp_host.corpora.mixing import MixtureSampler
from neuroamp_host.networks.lstm import LstmNet, build
from neuroamp_host.training import checkpoint
from neuroamp_host.training.config import TrainingConfig
from neuroamp_host.training.examples import Batch, make_batch, prefetch, sample_listener
from neuroamp_host.training.losses import WearLoss, Weights, magnitude_error

LOG_COLUMNS = (
    "step",
    "split",
    "seconds",
    "learning_rate",
    "loss",
    "audible",
    "envelope",
    "waveform",
)


class Objective:
    """Turns a net and a batch into named loss terms; 'loss' is the one to minimise."""

    def __init__(self, net: LstmNet, config: TrainingConfig) -> None:
        self._net = net
        self._profile = net.profile
        if net.profile.output == "band-gain":
            self._low = net.profile.gain_min_db
            self._span = net.profile.gain_max_db - net.profile.gain_min_db
            self._to_bins = torch.from_numpy(band_matrix(net.profile)).float()
            self._wear_loss = WearLoss(
                net.profile,
                Weights(
                    audible=config.audible_weight,
                    envelope=config.envelope_weight,
                    waveform=config.waveform_weight,
                    lost_speech=config.lost_speech_weight,
                ),
            )

    def __call__(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Loss terms, scalars."""
        output = self._net(batch.features, batch.audiogram)
        if self._profile.output == "log-magnitude":
            return {"loss": magnitude_error(output, batch.target_features)}
        gain_db = batch.noisy_gain_db + (self._low + self._span * output) @ self._to_bins
        amplified = batch.noisy * torch.exp(gain_db * (math.log(10.0) / 20.0))
        return self._wear_loss(amplified, batch.target, batch.clean, batch.audiogram)


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
    net = build(config.net)
    optimiser = torch.optim.Adam(net.parameters(), lr=config.learning_rate)
    progress = Progressed()
    last, best = out / "last.pt", out / "best.pt"
    if resume and last.exists():
        content = checkpoint.load(last)
        net.load_state_dict(content["state_dict"])
        optimiser.load_state_dict(content["optimiser"])
        progress = Progressed(**content["progress"])
    train_mixtures = MixtureSampler(data, "train", seconds=config.seconds, seed=config.seed)
    dev_mixtures = MixtureSampler(data, "dev", seconds=config.seconds, seed=config.seed)
    objective = Objective(net, config)

    def batch_of(mixtures: MixtureSampler, split: int) -> Callable[[int], Batch]:
        return lambda index: _make(net, config, mixtures, split, index)

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
            terms = objective(next(batches))
            if not torch.isfinite(terms["loss"]):
                raise NeuroampError(
                    f"the loss is no longer a number at step {progress.step}; lower learning_rate "
                    f"and train again from {last}."
                )
            optimiser.zero_grad(set_to_none=True)
            terms["loss"].backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(net.parameters(), config.gradient_norm)
            optimiser.step()
            progress.step += 1
            progress.seconds += time.monotonic() - began
            running.append({name: float(value.detach()) for name, value in terms.items()})
            bar.update(task, advance=1, note=f"loss {running[-1]['loss']:.3f}")
            if progress.step % config.dev_every and progress.step < config.steps:
                continue
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
def evaluate(objective: Objective, batches: list[Batch]) -> dict[str, float]:
    """Mean loss terms over batches."""
    return _mean([{k: float(v) for k, v in objective(batch).items()} for batch in batches])


def _make(
    net: LstmNet, config: TrainingConfig, mixtures: MixtureSampler, split: int, index: int
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
    )


def _learning_rate(config: TrainingConfig, step: int) -> float:
    rise = min(1.0, (step + 1) / max(config.warmup_steps, 1))
    fall = 0.55 + 0.45 * math.cos(math.pi * min(1.0, step / config.steps))
    return config.learning_rate * rise * fall


def _mean(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _keep_config(config: TrainingConfig, out: Path) -> None:
    path = out / "config.json"
    given = json.dumps(dataclasses.asdict(config), indent=2, sort_keys=True)
    if path.exists() and path.read_text(encoding="utf-8") != given:
        raise NeuroampError(
            f"{out} holds a run of another config; choose another folder with --out or delete it."
        )
    path.write_text(given, encoding="utf-8")


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
