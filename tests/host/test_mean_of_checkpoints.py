"""The mean of two checkpoints: between them, of the same net only."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mean_of_checkpoints import main, mean_of
from neuroamp.errors import NeuroampError
from neuroamp_host.networks.registry import build
from neuroamp_host.training import checkpoint


def written(path: Path, net: str, seed: int) -> Path:
    torch.manual_seed(seed)
    checkpoint.save(path, {"net": net, "state_dict": build(net).state_dict(), "step": seed})
    return path


def test_the_mean_lies_between_and_loads_like_any_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [written(tmp_path / f"{seed}.pt", "wear", seed) for seed in (1, 2)]
    out = tmp_path / "mean.pt"
    words = ["mean_of_checkpoints.py", *map(str, paths), str(out), "--share", "0.25"]
    monkeypatch.setattr("sys.argv", words)
    assert main() == 0
    first, second = (checkpoint.load(path)["state_dict"] for path in paths)
    for name, value in checkpoint.load_net(out).state_dict().items():
        torch.testing.assert_close(value, 0.75 * first[name] + 0.25 * second[name])
    for share, end in ((0.0, first), (1.0, second)):
        mean = mean_of(*paths, share)["state_dict"]
        assert all(torch.allclose(mean[name], end[name]) for name in end)


def test_another_net_and_a_share_beyond_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wear = written(tmp_path / "wear.pt", "wear", 1)
    narrow = written(tmp_path / "narrow.pt", "wear-narrow", 1)
    monkeypatch.setattr("sys.argv", ["mean", str(wear), str(narrow), str(tmp_path / "out.pt")])
    assert main() == 1
    assert "'wear-narrow'" in capsys.readouterr().err
    assert not (tmp_path / "out.pt").exists()
    with pytest.raises(NeuroampError, match="from 0 to 1"):
        mean_of(wear, wear, 1.5)
