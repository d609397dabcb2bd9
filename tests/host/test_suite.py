"""The evaluation's bookkeeping: means, paired differences with intervals, torn result files."""

from pathlib import Path

import numpy as np
import pytest
from neuroamp_host.evaluation.cases import Setting
from neuroamp_host.evaluation.suite import _interval, summarise
from neuroamp_host.evaluation.systems import NAL_R_WDRC, NEUROAMP


def row(clip: str, listener: str, gain: float) -> dict:
    base = {"haspi": 0.5, "hasqi": 0.4, "level_db_spl": 70.0}
    better = {name: value + gain for name, value in base.items()}
    return {
        "condition": "pairs",
        "group": listener,
        "clip": clip,
        "listener": listener,
        "scores": {NAL_R_WDRC: base, NEUROAMP: better},
    }


SETTING = Setting(Path("data"), "test", None, "onnx", listeners=("N2", "N3"))


def test_summary_holds_the_means_per_listener_and_over_all() -> None:
    rows = [row("a", "N2", 0.1), row("b", "N2", 0.3), row("a", "N3", 0.0), row("b", "N3", 0.2)]
    tables = {table["group"]: table for table in summarise(rows, SETTING)["tables"]}
    assert tables["N2"]["systems"][NEUROAMP]["haspi"] == pytest.approx(0.7)
    assert tables["N3"]["systems"][NEUROAMP]["haspi"] == pytest.approx(0.6)
    assert tables["mean"]["systems"][NEUROAMP]["haspi"] == pytest.approx(0.65)
    assert tables["mean"]["minus_wdrc"][NEUROAMP]["hasqi"]["mean"] == pytest.approx(0.15)
    assert tables["mean"]["clips"] == 2


def test_the_interval_covers_the_mean_and_narrows_with_more_clips() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for count in (10, 200):
        rows = [row(str(i), "N2", gain) for i, gain in enumerate(rng.normal(0.1, 0.05, count))]
        found = _interval(rows, NEUROAMP, NAL_R_WDRC, "haspi")
        assert found["low"] < found["mean"] < found["high"]
        widths.append(found["high"] - found["low"])
    assert widths[1] < widths[0] / 2


def test_a_constant_difference_has_an_interval_without_width() -> None:
    rows = [row(str(i), "N2", 0.1) for i in range(5)]
    assert _interval(rows, NEUROAMP, NAL_R_WDRC, "haspi") == {
        "mean": 0.1,
        "low": 0.1,
        "high": 0.1,
    }


def test_results_of_another_setting_are_kept_apart() -> None:
    other = Setting(Path("data"), "dev", None, "onnx", listeners=("N2", "N3"))
    elsewhere = Setting(Path("elsewhere"), "test", None, "onnx", listeners=("N2", "N3"))
    assert SETTING.key() != other.key()
    assert SETTING.key() == elsewhere.key()
