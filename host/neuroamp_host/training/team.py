"""The processes that train one net together, started by torchrun; one alone is a team as well."""

from __future__ import annotations

import dataclasses
import os

import torch
from neuroamp.errors import NeuroampError
from torch import distributed

from neuroamp_host.training.config import TrainingConfig
from neuroamp_host.training.examples import Draw


class Team:
    """This process's place among those that torchrun started.

    Raises:
        NeuroampError: there is no such device, or the batch has no equal parts for all.
    """

    def __init__(self, config: TrainingConfig, device: str) -> None:
        self._size = int(os.environ.get("WORLD_SIZE", "1"))
        self._rank = int(os.environ.get("RANK", "0"))
        if device not in ("cpu", "cuda"):
            raise NeuroampError(f"the device is {device!r} but must be cpu or cuda; correct it.")
        if device == "cuda" and not torch.cuda.is_available():
            raise NeuroampError(
                "there is no GPU that torch can use; install torch's build for one or train with "
                "--device cpu."
            )
        if device == "cuda" and self._size > 1:
            raise NeuroampError(
                f"torchrun started {self._size} processes, which train together on CPUs alone; use "
                "--device cpu, or one process with --device cuda."
            )
        if config.batch % self._size:
            raise NeuroampError(
                f"a batch of {config.batch} has no equal parts for {self._size} processes; choose "
                "a multiple of it as `batch`."
            )
        if self._size > 1:
            distributed.init_process_group("gloo")

    @property
    def first(self) -> bool:
        """Whether this process writes the run's files."""
        return self._rank == 0

    def part_of(self, draw: Draw) -> Draw:
        """This process's rows of a draw."""
        rows = slice(self._rank, None, self._size)
        return Draw(*(getattr(draw, field.name)[rows] for field in dataclasses.fields(draw)))

    def leave(self) -> None:
        """Ends the team once all are done."""
        if self._size > 1:
            distributed.barrier()
            distributed.destroy_process_group()
