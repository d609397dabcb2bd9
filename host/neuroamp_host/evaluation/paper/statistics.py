"""Agreement between two columns of scores, and whether their difference is chance."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

DRAWS = 1000
"""Of the bootstrap."""

Floats = NDArray[np.float64]


class Estimate(NamedTuple):
    """A figure and its 95 % bootstrap interval over the clips; all NaN where it has no meaning."""

    value: float
    low: float
    high: float


class Agreement(NamedTuple):
    """How alike two systems' scores are (the paper, IV-C).

    Attributes:
        clips: that were scored.
        lcc: linear correlation coefficient (Pearson).
        srcc: rank correlation coefficient (Spearman).
        mse: mean squared difference.
    """

    clips: int
    lcc: Estimate
    srcc: Estimate
    mse: Estimate


class Difference(NamedTuple):
    """A mean paired difference and how likely chance alone is to give one as large.

    Attributes:
        mean: with its interval.
        t_test: two-sided p of the paired t-test; NaN where all differences are the same.
        wilcoxon: two-sided p of the signed-rank test; NaN there too.
    """

    mean: Estimate
    t_test: float
    wilcoxon: float


def agreement(reference: ArrayLike, found: ArrayLike) -> Agreement:
    """Agreement of scores [clips] with the reference's [clips], clip by clip."""
    a, b = np.asarray(reference, dtype=np.float64), np.asarray(found, dtype=np.float64)
    return Agreement(
        a.size,
        _estimate(_correlation, a, b),
        _estimate(lambda x, y: _correlation(_ranks(x), _ranks(y)), a, b),
        _estimate(lambda x, y: np.mean((x - y) ** 2, axis=-1), a, b),
    )


def difference(found: ArrayLike, baseline: ArrayLike) -> Difference:
    """Of paired scores [clips]: `found` minus `baseline`."""
    a, b = np.asarray(found, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    mean = _estimate(lambda x, y: np.mean(x - y, axis=-1), a, b)
    if a.size < 2 or np.ptp(a - b) == 0.0:
        return Difference(mean, float("nan"), float("nan"))
    return Difference(mean, float(stats.ttest_rel(a, b).pvalue), float(stats.wilcoxon(a, b).pvalue))


def _estimate(statistic: Callable[[Floats, Floats], Floats], a: Floats, b: Floats) -> Estimate:
    if a.size == 0:
        return Estimate(float("nan"), float("nan"), float("nan"))
    chosen = np.random.default_rng(0).integers(0, a.size, (DRAWS, a.size))
    drawn = statistic(a[chosen], b[chosen])
    # A draw of one clip over and over has no correlation.
    whole = drawn[np.isfinite(drawn)]
    low, high = np.percentile(whole, [2.5, 97.5]) if whole.size else (np.nan, np.nan)
    return Estimate(float(statistic(a[np.newaxis], b[np.newaxis])[0]), float(low), float(high))


def _correlation(a: Floats, b: Floats) -> Floats:
    """Pearson's, along the last axis; NaN where a side is constant."""
    a = a - a.mean(axis=-1, keepdims=True)
    b = b - b.mean(axis=-1, keepdims=True)
    scale = np.sqrt(np.sum(a * a, axis=-1) * np.sum(b * b, axis=-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(scale > 0.0, np.sum(a * b, axis=-1) / scale, np.nan))


def _ranks(values: Floats) -> Floats:
    return np.asarray(stats.rankdata(values, axis=-1), dtype=np.float64)
