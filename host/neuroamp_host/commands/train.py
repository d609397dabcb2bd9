"""`neuroamp train`: one config file, one run; interrupted runs go on where they stopped."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch

from neuroamp_host.training.config import load_config
from neuroamp_host.training.loop import train
from neuroamp_host.training.plot import plot_log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("config", type=Path, help="TOML file with the run's settings")
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        required=True,
        metavar="FOLDER",
        help="roots of the training data; speech may come from one and noise from another",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="where the net trains (cpu)"
    )
    parser.add_argument(
        "--workers", type=int, default=1, help="processes that make batches ahead (default 1)"
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of the net (default 1)")
    parser.add_argument(
        "--restart", action="store_true", help="begin anew instead of resuming from last.pt"
    )


def run(options: argparse.Namespace) -> int:
    """Trains, plots the losses and says where the best checkpoint is."""
    torch.set_num_threads(options.threads)
    config = load_config(options.config)
    best = train(
        config,
        options.data,
        options.out,
        resume=not options.restart,
        device=options.device,
        workers=options.workers,
    )
    if int(os.environ.get("RANK", "0")) > 0:
        return 0
    plot_log(options.out / "log.csv", options.out / "loss.png")
    print(
        f"Best checkpoint: {best}. Losses: {options.out / 'log.csv'}, {options.out / 'loss.png'}."
    )
    return 0
