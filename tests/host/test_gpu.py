"""What training computes on a GPU is what it computes on the CPU."""

from __future__ import annotations

import pytest
import torch
from neuroamp_host.networks.bounded_lstm import CELL_BOUND, BoundedLstm
from neuroamp_host.training.examples import running_mean_db, track

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def both(
    layer: BoundedLstm, inputs: torch.Tensor, wanted: torch.Tensor
) -> list[list[torch.Tensor]]:
    """Outputs, gradients and last cells, first on the CPU, then on the GPU."""
    results = []
    for device in ("cpu", "cuda"):
        layer.to(device).zero_grad()
        heard = inputs.clone().to(device).requires_grad_()
        outputs, (_, cell) = layer(heard)
        ((outputs - wanted.to(device)) ** 2).mean().backward()
        assert heard.grad is not None
        values = [outputs, heard.grad, *(p.grad for p in layer.parameters()), cell]
        results.append([value.detach().cpu() for value in values])
    return results


@pytest.mark.parametrize("width", [128, 151])
def test_the_lstm_and_its_gradients_are_the_cpus(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Step by step, cells at their bound among them."""
    from neuroamp_host import cuda_kernels  # only there is Triton

    monkeypatch.setattr(cuda_kernels, "takes_whole_sequences", lambda width: False)
    torch.manual_seed(0)
    layer = BoundedLstm(40, width)
    layer.bias.data[: 2 * width] += 2.0  # so that cells reach their bound
    results = both(layer, torch.randn(20, 60, 40), torch.randn(20, 60, width))
    for on_cpu, on_gpu in zip(*results, strict=True):
        assert float((on_cpu - on_gpu).norm() / on_cpu.norm()) < 1e-4
    assert [float(values[-1].abs().max()) for values in results] == [CELL_BOUND, CELL_BOUND]


@pytest.mark.parametrize("width", [16, 64, 128])
def test_a_whole_sequence_in_one_kernel_is_the_cpus(width: int) -> None:
    """Its products are of 16-bit numbers. No cell reaches its bound: one that just does, or does
    not, by a rounding, passes another gradient on."""
    torch.manual_seed(0)
    layer = BoundedLstm(40, width)
    results = both(layer, torch.randn(20, 60, 40), torch.randn(20, 60, width))
    for on_cpu, on_gpu in zip(*results, strict=True):
        assert float((on_cpu - on_gpu).norm() / on_cpu.norm()) < 1e-3
    assert float(results[0][-1].abs().max()) < CELL_BOUND


def test_a_whole_sequence_keeps_cells_within_their_bound() -> None:
    torch.manual_seed(0)
    layer = BoundedLstm(40, 128)
    layer.bias.data[: 2 * 128] += 2.0
    on_cpu, on_gpu = both(layer, torch.randn(20, 60, 40), torch.randn(20, 60, 128))
    assert float(on_gpu[-1].abs().max()) == CELL_BOUND
    assert float((on_cpu[0] - on_gpu[0]).norm() / on_cpu[0].norm()) < 5e-3


def test_the_compressors_levels_are_the_cpus() -> None:
    torch.manual_seed(0)
    level = 50.0 + 20.0 * torch.randn(5, 300, 11)
    on_cpu = track(level, -40.0, 0.3, 0.01)
    on_gpu = track(level.cuda(), -40.0, 0.3, 0.01)
    assert torch.allclose(on_cpu, on_gpu.cpu(), atol=1e-3)


def test_the_mean_level_of_the_steadied_gains_is_the_cpus() -> None:
    torch.manual_seed(0)
    level_db, weight = 40.0 * torch.rand(5, 300, 1), torch.rand(5, 300, 1) + 0.01
    on_cpu = running_mean_db(level_db, weight, 0.004)
    on_gpu = running_mean_db(level_db.cuda(), weight.cuda(), 0.004)
    assert torch.allclose(on_cpu, on_gpu.cpu(), atol=1e-4)
