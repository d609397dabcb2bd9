"""One optimiser step, on the CPU or on a GPU, in one process or in several.

On a GPU a step is thousands of small kernels, which take longer to start one by one than to run;
there a step is recorded once and replayed as a whole (CUDA graphs). Several processes, started by
torchrun, each take a part of every batch and average their gradients.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, distributed, nn

from neuroamp_host.training.config import TrainingConfig
from neuroamp_host.training.examples import Draw
from neuroamp_host.training.objectives import Objective, Task
from neuroamp_host.training.quantised import quantised_weights

WARM_UPS = 3
"""Steps before a recording, in which libraries choose their kernels."""


class Stepper:
    """Takes batches and moves the net's weights."""

    def __init__(self, objective: Objective, net: nn.Module, config: TrainingConfig) -> None:
        self._objective = objective
        self._net = net
        self._config = config
        self.device = next(net.parameters()).device
        on_gpu = self.device.type == "cuda"
        rate = torch.tensor(config.learning_rate, device=self.device) if on_gpu else 0.0
        self.optimiser = torch.optim.Adam(net.parameters(), lr=rate, capturable=on_gpu)
        self._recorded: dict[bool, _Recorded] = {}

    def step(self, batch: Task | Draw, rate: float, quantised: bool) -> dict[str, Tensor]:
        """One step at this learning rate; returns the loss terms before it.

        Args:
            batch: a prepared task, or on a GPU a draw.
            rate: learning rate.
            quantised: compute with weights rounded to 8 bits.
        """
        for group in self.optimiser.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        if isinstance(batch, Task):
            return self._eager(batch, quantised)
        if quantised not in self._recorded:
            self._recorded[quantised] = self._record(batch, quantised)
        return self._recorded[quantised].replay(batch)

    def _eager(self, task: Task, quantised: bool) -> dict[str, Tensor]:
        with quantised_weights(self._net, quantised):
            terms: dict[str, Tensor] = self._objective(task)
            self.optimiser.zero_grad(set_to_none=True)
            terms["loss"].backward()  # type: ignore[no-untyped-call]
        if distributed.is_initialized():
            terms = self._average(terms)
        nn.utils.clip_grad_norm_(self._net.parameters(), self._config.gradient_norm)
        self.optimiser.step()
        return {name: value.detach() for name, value in terms.items()}

    def _average(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """Gradients and terms as means over the processes, whose parts of a batch are equal."""
        gradients = [p.grad for p in self._net.parameters() if p.grad is not None]
        values = torch.stack([value.detach() for value in terms.values()])
        flat = torch.cat([values, *(gradient.flatten() for gradient in gradients)])
        distributed.all_reduce(flat)
        flat /= distributed.get_world_size()
        values, *parts = flat.split([values.numel(), *(g.numel() for g in gradients)])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
        return dict(zip(terms, values, strict=True))

    def _record(self, draw: Draw, quantised: bool) -> _Recorded:
        """The step as one graph on inputs of its own; net and optimiser stay as they are."""
        inputs = draw.to(self.device)
        before = _copy([self._net.state_dict(), self.optimiser.state_dict()["state"]])
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                self._eager(self._objective.prepare(inputs), quantised)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            terms = self._eager(self._objective.prepare(inputs), quantised)
        with torch.no_grad():
            for name, value in self._net.state_dict().items():
                value.copy_(before[0][name])
            for index, state in self.optimiser.state_dict()["state"].items():
                for name, value in state.items():
                    value.copy_(before[1].get(index, {}).get(name, torch.zeros_like(value)))
        return _Recorded(graph, inputs, terms)


@dataclasses.dataclass(frozen=True)
class _Recorded:
    """A step as a graph, where its inputs lie, and where its loss terms will."""

    graph: torch.cuda.CUDAGraph
    inputs: Draw
    terms: dict[str, Tensor]

    def replay(self, draw: Draw) -> dict[str, Tensor]:
        for field in dataclasses.fields(draw):
            getattr(self.inputs, field.name).copy_(getattr(draw, field.name), non_blocking=True)
        self.graph.replay()
        return self.terms


def _copy(value: Any) -> Any:
    """Tensors in dicts and lists, copied."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value]
