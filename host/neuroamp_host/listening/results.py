"""What the listeners preferred: counts, a binomial test, and the paper's Figures 14 and 15."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from scipy import stats

from neuroamp_host.listening.material import COMPARED

ALL = "all"
SIMILAR = "similar"
OUTCOMES = (*COMPARED, SIMILAR)
COLOURS = ("#7b3294", "#e69f00", "#9a9a9a")


def count(rows: Iterable[dict[str, str]]) -> dict[str, dict[str, Any]]:
    """Of each category, and of all: the answers, and p of the binomial test.

    The test is two-sided, of the answers with a preference against a coin's; answers of one
    person are not independent, so that p is a lower bound where there are few people.
    """
    answers: dict[str, Counter[str]] = {}
    for row in rows:
        for category in (row["category"], ALL):
            answers.setdefault(category, Counter())[row["preferred"]] += 1
    found: dict[str, dict[str, Any]] = {}
    for category in sorted(answers, key=lambda name: (name == ALL, name)):
        own = answers[category]
        decided = own[COMPARED[0]] + own[COMPARED[1]]
        p = float(stats.binomtest(own[COMPARED[1]], decided).pvalue) if decided else None
        found[category] = {**{outcome: own[outcome] for outcome in OUTCOMES}, "binomial p": p}
    return found


def draw(counts: dict[str, dict[str, Any]]) -> Figure:
    """Figure 14 (all answers) above Figure 15 (by category)."""
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(8.0, 7.0), layout="constrained", gridspec_kw={"height_ratios": (1, 3)}
    )
    categories = [category for category in counts if category != ALL]
    for axes, names in ((above, [ALL] if ALL in counts else []), (below, categories)):
        left = [0.0] * len(names)
        for outcome, colour in zip(OUTCOMES, COLOURS, strict=True):
            shares = [
                100.0 * counts[name][outcome] / sum(counts[name][o] for o in OUTCOMES)
                for name in names
            ]
            bars = axes.barh(names, shares, left=left, color=colour, label=outcome)
            axes.bar_label(
                bars, [str(counts[name][outcome]) for name in names], label_type="center"
            )
            left = [a + b for a, b in zip(left, shares, strict=True)]
        axes.set_xlim(0.0, 100.0)
        axes.invert_yaxis()
    below.set_xlabel("share of answers, %; in the bars their number")
    above.set_title("preferred")
    above.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.1))
    return figure
