"""A few fittings over a bad line; tools/stress_link.py does a thousand."""

from __future__ import annotations

import pytest
import stress_link
from neuroamp.engines.native import library_path


@pytest.mark.parametrize("kind", ["python", "c"])
def test_fittings_over_a_bad_line_are_there_once_or_not_at_all(kind: str) -> None:
    if kind == "c" and library_path() is None:
        pytest.skip("the C core was not built")
    outcomes, line = stress_link.run(kind, 6, errors=1e-3, seed=5, cut_every=5000)
    assert not [outcome for outcome in outcomes if outcome.startswith("WRONG")], outcomes
    assert outcomes[stress_link.APPLIED] >= 3, outcomes
    assert line.harmed > 20
    assert line.cuts > 0
