"""What the suites put before every system: levels, listeners and sounds, the same every time."""

import os
from pathlib import Path

import numpy as np
import pytest
from neuroamp.errors import NeuroampError
from neuroamp.units import level_db_spl
from neuroamp_host.evaluation.cases import LONGEST_CLIP_S, SAMPLE_RATE_HZ, Setting, cases

REPOSITORY = Path(__file__).parents[2]
DATA = Path(os.environ.get("NEUROAMP_DATA", REPOSITORY.parent / "shared" / "data"))
needs_data = pytest.mark.skipif(not DATA.exists(), reason=f"no audio data at {DATA}")


def setting(suite: str, mixtures: int = 6) -> Setting:
    return Setting(DATA, "dev", None, "native", mixtures=mixtures, pairs=2, suite=suite)


@needs_data
def test_the_short_suite_crosses_every_clip_with_every_listener() -> None:
    found = cases(setting("short", mixtures=1))
    assert len(found) == (2 + 1) * 4
    assert len({case.key for case in found}) == len(found)
    assert all(case.clean_pa.size <= LONGEST_CLIP_S * SAMPLE_RATE_HZ for case in found)


@needs_data
def test_the_wear_suite_deals_levels_and_measured_listeners_round() -> None:
    found = cases(setting("wear"))
    mixtures = [case for case in found if case.condition == "mixtures"]
    levels = [round(level_db_spl(case.clean_pa)) for case in mixtures]
    assert sorted(levels) == [50, 50, 65, 65, 80, 80]
    assert len({case.listener for case in mixtures}) == 6
    assert {case.condition for case in found} == {
        "pairs",
        "mixtures",
        "soft clean speech",
        "loud noisy speech",
        "music",
    }
    for case in found:
        assert level_db_spl(case.reference_pa) == pytest.approx(65.0)
        assert case.is_music == (case.condition == "music")
        if case.condition in ("soft clean speech", "music"):
            assert np.array_equal(case.noisy_pa, case.clean_pa)
    soft = next(case for case in found if case.condition == "soft clean speech")
    assert level_db_spl(soft.clean_pa) == pytest.approx(50.0)


@needs_data
def test_the_cases_are_the_same_every_time() -> None:
    first, second = cases(setting("wear")), cases(setting("wear"))
    assert [case.key for case in first] == [case.key for case in second]
    assert [case.listener for case in first] == [case.listener for case in second]
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a.noisy_pa, b.noisy_pa)


def test_without_measured_audiograms_the_wear_suite_says_what_is_missing(tmp_path: Path) -> None:
    for folder in ("speech", "noise"):
        (tmp_path / folder).mkdir()
    with pytest.raises(NeuroampError):
        cases(Setting(tmp_path, "test", None, "native", mixtures=1, pairs=0, suite="wear"))
