"""Tables I to VI: our figures with the paper's beside them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from neuroamp.model_file import read_model_info
from neuroamp.profile import PAPER_BANDS

from neuroamp_host.evaluation.cases import LISTENERS
from neuroamp_host.evaluation.paper import published
from neuroamp_host.evaluation.paper.scoring import (
    DENOISING,
    DENOISING_STRENGTH,
    TWO_STAGES,
    WEARABLE,
    Run,
    denoising_rows,
    fidelity_rows,
    net_name,
    released,
)
from neuroamp_host.evaluation.paper.sounds import MUSIC_CONDITIONS
from neuroamp_host.evaluation.paper.statistics import Agreement, Difference, agreement, difference
from neuroamp_host.evaluation.rows import Row
from neuroamp_host.evaluation.systems import NAL_R_WDRC
from neuroamp_host.networks.net import parameter_count
from neuroamp_host.networks.registry import build

OVERALL = "all"
STATISTICS = ("LCC", "SRCC", "MSE")


@dataclasses.dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        number: Roman, as in the paper.
        title: what it shows.
        header: names of the columns.
        rows: cells as text.
        values: the same as numbers, for JSON.
        notes: what differs from the paper's, a sentence each.
    """

    number: str
    title: str
    header: tuple[str, ...]
    rows: list[list[str]]
    values: dict[str, Any]
    notes: list[str]


def table_1(run: Run) -> Table:
    """Numbers of parameters."""
    rows: list[list[str]] = []
    values: dict[str, Any] = {}
    for architecture, (basic, optimised) in published.PARAMETERS.items():
        ours = [
            parameter_count(build(net_name(architecture, is_basic))) for is_basic in (True, False)
        ]
        values[architecture] = {"basic": ours[0], "optimised": ours[1]}
        rows.append(
            [
                architecture,
                *(
                    f"{own:,} (paper {theirs:,})"
                    for own, theirs in zip(ours, (basic, optimised), strict=True)
                ),
            ]
        )
    return Table(
        "I",
        "Trainable parameters",
        ("net", "basic", "optimised"),
        rows,
        values,
        [
            "Counted as Keras does. The paper names the layers of the optimised nets; what it "
            "leaves open is chosen to meet its counts within 1 % (docs/networks.md)."
        ],
    )


def table_2(run: Run) -> Table:
    """Fidelity of the basic nets on speech."""
    return _speech_table(run, "II", "basic nets", True, published.BASIC)


def table_3(run: Run) -> Table:
    """Fidelity of the optimised nets on speech."""
    return _speech_table(run, "III", "optimised nets", False, published.OPTIMISED)


def table_4(run: Run) -> Table:
    """Fidelity of the optimised nets by condition, on speech unseen in training."""
    models = released(basic=False)
    rows = fidelity_rows(run, "VCTK", models)
    columns = {
        condition: [row for row in rows if row["condition"] == condition]
        for condition in published.CONDITIONS
    }
    return Table(
        "IV",
        "Agreement with NAL-R+WDRC by condition",
        ("metric", "net", *columns),
        *_agreements(("HASPI", "HASQI"), columns, models, published.BY_CONDITION),
        [
            f"VoiceBank: {run.sounds.describe('VCTK')}.",
            *_notes(run),
            *_smooth(models),
            *_missing(models, False),
        ],
    )


def table_5(run: Run) -> Table:
    """Fidelity of the optimised nets on music."""
    models = released(basic=False)
    columns = {name: fidelity_rows(run, name, models) for name in published.MUSIC_SETS}
    columns[OVERALL] = [row for rows in columns.values() for row in rows]
    return Table(
        "V",
        "Agreement with NAL-R+WDRC on music, clean and noisy",
        ("metric", "net", *columns),
        *_agreements(("HAAQI",), columns, models, published.MUSIC),
        [
            *_sets(run, published.MUSIC_SETS),
            *_notes(run),
            *_smooth(models),
            *_missing(models, False),
        ],
    )


def table_6(run: Run) -> Table:
    """Denoising NeuroAMP against NAL-R+WDRC and against two stages, with paired tests."""
    rows = denoising_rows(run)
    names = list(rows[0]["scores"])
    means = {
        name: {metric: float(np.mean(_column(rows, name, metric))) for metric in _SPEECH_METRICS}
        for name in names
    }
    shown = [
        [
            name,
            *(
                f"{means[name][metric]:.3f}"
                + (
                    f" (paper {published.DENOISING[name][index]:.2f})"
                    if name in published.DENOISING
                    else ""
                )
                for index, metric in enumerate(_SPEECH_METRICS)
            ),
            *(
                "" if name == NAL_R_WDRC else _difference_text(_paired(rows, name, metric))
                for metric in _SPEECH_METRICS
            ),
        ]
        for name in names
    ]
    two_stage = next(iter(TWO_STAGES))
    against = {
        name: {
            metric: difference(_by_clip(rows, name, metric), _by_clip(rows, two_stage, metric))
            for metric in _SPEECH_METRICS
        }
        for name in (DENOISING, WEARABLE)
    }
    return Table(
        "VI",
        "Denoising NeuroAMP on VoiceBank+DEMAND",
        ("system", "HASPI", "HASQI", "HASPI minus NAL-R+WDRC", "HASQI minus NAL-R+WDRC"),
        shown,
        {
            "clips": len({row["clip"] for row in rows}),
            "means": means,
            "minus NAL-R+WDRC": {
                name: {m: _json(_paired(rows, name, m)) for m in _SPEECH_METRICS}
                for name in names
                if name != NAL_R_WDRC
            },
            **{
                f"{name} minus {two_stage}": {m: _json(own[m]) for m in _SPEECH_METRICS}
                for name, own in against.items()
            },
        },
        [
            *(
                f"{name} minus {two_stage}: "
                + ", ".join(f"{m} {_difference_text(own[m])}" for m in _SPEECH_METRICS)
                + "."
                for name, own in against.items()
            ),
            f"{len({row['clip'] for row in rows})} noisy recordings, each for the standard "
            f"audiograms {', '.join(LISTENERS)}, speech at 65 dB SPL; a recording's mean over the "
            "listeners is one pair of the tests. In brackets 95 % bootstrap intervals; p of the "
            "paired t-test and of Wilcoxon's signed-rank test. The paper names no listener and no "
            "test.",
            f"{DENOISING}: noise reduction {DENOISING_STRENGTH:g}, chosen on the dev split; 0 is "
            "the prescription, 1 the net's own output. The recordings are the official "
            "test set's demonstration excerpts, of lower SNR than its mean.",
        ],
    )


TABLES: Mapping[str, Callable[[Run], Table]] = {
    "I": table_1,
    "II": table_2,
    "III": table_3,
    "IV": table_4,
    "V": table_5,
    "VI": table_6,
}

_SPEECH_METRICS = ("HASPI", "HASQI")


def _speech_table(
    run: Run, number: str, nets: str, basic: bool, theirs: Mapping[tuple[str, str, str], Any]
) -> Table:
    models = released(basic)
    columns = {name: fidelity_rows(run, name, models) for name in published.SPEECH_SETS}
    columns[OVERALL] = [row for rows in columns.values() for row in rows]
    return Table(
        number,
        f"Agreement with NAL-R+WDRC on speech, {nets}",
        ("metric", "net", *columns),
        *_agreements(_SPEECH_METRICS, columns, models, theirs),
        [
            *_sets(run, published.SPEECH_SETS),
            *_notes(run),
            *_smooth(models),
            *_missing(models, basic),
        ],
    )


def _agreements(
    metrics: Iterable[str],
    columns: Mapping[str, list[Row]],
    models: Mapping[str, object],
    theirs: Mapping[tuple[str, str, str], published.Cell],
) -> tuple[list[list[str]], dict[str, Any]]:
    rows: list[list[str]] = []
    values: dict[str, Any] = {}
    for metric in metrics:
        for architecture in published.ARCHITECTURES:
            cells = []
            for column, own in columns.items():
                found = None
                if architecture in models:
                    found = agreement(
                        _column(own, NAL_R_WDRC, metric), _column(own, architecture, metric)
                    )
                    values.setdefault(metric, {}).setdefault(architecture, {})[column] = {
                        "clips": found.clips,
                        **{
                            name: dict(estimate._asdict())
                            for name, estimate in zip(STATISTICS, found[1:], strict=True)
                        },
                    }
                cells.append(_cell(found, theirs.get((metric, architecture, column))))
            rows.append([metric, architecture, *cells])
    return rows, values


def _cell(found: Agreement | None, theirs: published.Cell | None) -> str:
    """'LCC, SRCC [interval], MSE', the paper's below."""
    ours = "not trained"
    if found is not None:
        srcc = found.srcc
        ours = (
            f"{found.lcc.value:.4f}, {srcc.value:.4f} [{srcc.low:.3f}, {srcc.high:.3f}], "
            f"{found.mse.value:.4f}"
        )
    if theirs is None:
        return ours
    return f"{ours}<br>paper {theirs[0]:.4f}, {theirs[1]:.4f}, {theirs[2]:.4f}"


def _column(rows: Iterable[Row], system: str, metric: str) -> list[float]:
    return [row["scores"][system][metric] for row in rows]


def _by_clip(rows: Iterable[Row], system: str, metric: str) -> list[float]:
    clips: dict[str, list[float]] = {}
    for row in rows:
        clips.setdefault(row["clip"], []).append(row["scores"][system][metric])
    return [float(np.mean(clips[clip])) for clip in sorted(clips)]


def _paired(rows: list[Row], system: str, metric: str) -> Difference:
    return difference(_by_clip(rows, system, metric), _by_clip(rows, NAL_R_WDRC, metric))


def _difference_text(found: Difference) -> str:
    mean = found.mean
    return (
        f"{mean.value:+.3f} [{mean.low:+.3f}, {mean.high:+.3f}], "
        f"p {found.t_test:.1g} / {found.wilcoxon:.1g}"
    )


def _json(found: Difference) -> dict[str, Any]:
    return {**found._asdict(), "mean": dict(found.mean._asdict())}


def _sets(run: Run, names: Iterable[str]) -> list[str]:
    return [f"{name}: {run.sounds.describe(name)}." for name in names]


def _notes(run: Run) -> list[str]:
    return [
        "Each cell: LCC, SRCC with its 95 % bootstrap interval, MSE; the paper's own below. Scores "
        "are clip by clip, against NAL-R+WDRC in the same profile on the same sound.",
        f"At most {run.sounds.clips} clips of at most 4 s a set, each in every condition (speech: "
        f"{', '.join(published.CONDITIONS)}; music: {', '.join(MUSIC_CONDITIONS)}), at 65 dB SPL; "
        "noise at -6, 0, 6 dB SNR of kinds unseen in training; listeners by pattern and degree of "
        "loss, mild to severe. The nets are trained on open recordings, with noise at other SNRs, "
        "and run as released: causal, 8-bit, frame by frame.",
    ]


def _smooth(models: Mapping[str, Path]) -> list[str]:
    """Which nets' gains the device makes smooth."""
    smooth = [name for name, path in models.items() if read_model_info(path).profile == PAPER_BANDS]
    if not smooth:
        return []
    return [
        f"{', '.join(smooth)}: the gains that the device makes of the output are smooth across "
        "frequency (docs/networks.md); the paper's are each bin's own."
    ]


def _missing(models: Mapping[str, object], basic: bool) -> list[str]:
    """How to train what is not there."""
    return [
        f"{architecture}: `neuroamp train models/{net_name(architecture, basic)}/train.toml "
        f"--data DATA --out runs/{net_name(architecture, basic)}`, then `neuroamp export`."
        for architecture in published.ARCHITECTURES
        if architecture not in models
    ]
