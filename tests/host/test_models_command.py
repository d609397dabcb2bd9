"""`neuroamp models --table`: what every net costs."""

import sys

import pytest
from neuroamp_host.cli import main
from neuroamp_host.networks.registry import NETS


def test_the_table_has_a_line_for_every_net(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--table"]) == 0
    lines = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines()}
    assert set(lines) - {"net"} == set(NETS)
    # An LSTM's step multiplies each weight once; its states are two vectors a layer in float32.
    assert lines["paper-lstm"] == [
        *("paper-lstm", "1,134,193", "1,134,193", "+0.00%", "1,131,872", "4,096", "32", "ms")
    ]
    assert lines["wear"][-2:] == ["4", "ms"]
    assert len(lines["wear"]) == len(lines["paper-lstm"]) - 2  # the paper has no such net


def test_without_torch_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for module in [name for name in sys.modules if name.startswith("neuroamp_host.networks.")]:
        monkeypatch.delitem(sys.modules, module)
    assert main(["models", "--table"]) == 2
    assert "needs the package torch" in capsys.readouterr().err
