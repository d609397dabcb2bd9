"""What training computes on a GPU is what it computes on the CPU."""

from __future__ import annotations

import pytest
import torch
from neuroamp_host.networks.bounded_lstm import CELL_BOUND, BoundedLstm
from neuroamp_host.training.examples import running_mean_db, track

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.mark.parametrize("width", [128, 151])
def test_the_lstm_and_its_gradients_are_the_cpus(width: int) -> None:
    from neuroamp_host import cuda_kernels  # only there is Triton

    torch.manual_seed(0)
    layer = BoundedLstm(40, width)
    layer.bias.data[: 2 * width] += 2.0  # so that cells reach their bound
    inputs, wanted = torch.randn(20, 60, 40), torch.randn(20, 60, width)
    results = []
    for device in ("cpu", "cuda"):
        layer.to(device).zero_grad()
        heard = inputs.clone().to(device).requires_grad_()
        outputs, (_, cell) = layer(heard)
        ((outputs - wanted.to(device)) ** 2).mean().backward()
        assert heard.grad is not None
        gradients = [heard.grad, *(p.grad for p in layer.parameters())]
        results.append([outputs, *gradients])
        assert float(cell.abs().max()) == CELL_BOUND
        results[-1] = [value.detach().cpu() for value in results[-1]]
    # One kernel for all steps multiplies numbers of 16 bits, so that some cells that just reach
    # their bound do not, or the other way round; and no gradient passes where one is reached.
    tolerance = 3e-2 if cuda_kernels.takes_whole_sequences(width) else 1e-4
    for on_cpu, on_gpu in zip(*results, strict=True):
        assert float((on_cpu - on_gpu).norm() / on_cpu.norm()) < tolerance


def test_the_compressors_levels_are_the_cpus() -> None:
    torch.manual_seed(0)
    level = 50.0 + 20.0 * torch.randn(5, 300, 11)
    on_cpu = track(level, -40.0, 0.3, 0.01)
    on_gpu = track(level.cuda(), -40.0, 0.3, 0.01)
    assert torch.allclose(on_cpu, on_gpu.cpu(), atol=1e-3)


def test_the_steadied_gains_are_the_cpus() -> None:
    torch.manual_seed(0)
    gains_db, amplitude = 20.0 * torch.rand(5, 300, 11), torch.rand(5, 300, 11) + 0.01
    on_cpu = running_mean_db(gains_db, amplitude, 0.004)
    on_gpu = running_mean_db(gains_db.cuda(), amplitude.cuda(), 0.004)
    assert torch.allclose(on_cpu, on_gpu.cpu(), atol=1e-4)
