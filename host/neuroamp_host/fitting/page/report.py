"""The report of a fitting: one HTML page without scripts, made to be printed or kept."""

from __future__ import annotations

import datetime
import html
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from neuroamp.audiogram import Audiogram, Ear
from neuroamp.bands import CHANNEL_FREQUENCIES_HZ

from neuroamp_host.fitting.page.desk import RULE_WORDS, SPEECH_LEVELS_DB_SPL, Plan, gains_at
from neuroamp_host.fitting.page.session import DeviceState, EarState
from neuroamp_host.fitting.page.shown import identity_in_words

EARS = (Ear.RIGHT, Ear.LEFT)
SIGNS = {Ear.RIGHT: "O", Ear.LEFT: "X"}
SAME_GAIN_DB = 0.05

STYLE = """
@page { size: A4; margin: 16mm 15mm; }
body { font: 10.5pt/1.4 "Liberation Sans", Arial, "DejaVu Sans", sans-serif; color: #18222c;
  max-width: 180mm; margin: 8mm auto; }
h1 { font-size: 16pt; margin: 0 0 1mm; } h2 { font-size: 12pt; margin: 6mm 0 2mm; }
h2, tr, svg { break-inside: avoid; } h2 { break-after: avoid; }
.quiet { color: #53606c; } .right { color: #b3202b; } .left { color: #1d4fb8; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.6mm 5mm; margin: 3mm 0; }
dt { color: #53606c; } dd { margin: 0; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 8mm; }
table { border-collapse: collapse; width: 100%; font-size: 9pt;
  font-variant-numeric: tabular-nums; }
th, td { border-bottom: 0.3mm solid #d4dae0; padding: 0.8mm 1.2mm; text-align: right; }
th:first-child, td:first-child { text-align: left; } thead th { border-bottom-color: #53606c; }
.state { border-left: 1.2mm solid; padding: 1mm 3mm; margin: 2mm 0; }
.good { border-color: #1d6b37; } .open { border-color: #7a4b00; }
.sign { margin-top: 12mm; display: grid; grid-template-columns: 1fr 1fr; gap: 15mm; }
.sign span { border-top: 0.3mm solid #53606c; padding-top: 1mm; color: #53606c; font-size: 9pt; }
svg { width: 100%; height: auto; } svg text { font-size: 10px; fill: #53606c; }
"""


def report_html(
    plans: Mapping[Ear, Plan],
    state: DeviceState,
    client: str = "",
    fitter: str = "",
    note: str = "",
    when: datetime.datetime | None = None,
) -> str:
    """The report of what is on the page and what the device said of it.

    Args:
        plans: of the ears that are fitted.
        state: what is known of the device.
        client, fitter, note: text of the fitter; '' is left out.
        when: local time that the report is of; now by default.
    """
    moment = (when or datetime.datetime.now().astimezone()).strftime("%Y-%m-%d %H:%M")
    facts = [("Client", client), ("Fitted by", fitter), ("Date", moment), ("Note", note)]
    if state.identity is not None:
        facts.append(("Device", identity_in_words(state.identity)))
    ears = [ear for ear in EARS if ear in plans]
    parts = [
        "<h1>Hearing aid fitting</h1>",
        _list(facts),
        "<h2>Audiogram</h2>",
        '<div class="pair"><div>',
        _audiogram({ear: plans[ear].audiogram for ear in ears}),
        "</div><div>",
        _thresholds(plans),
        "</div></div>",
    ]
    for ear in ears:
        parts += _ear(ear, plans[ear], state)
    parts.append(
        '<div class="sign"><span>Date, signature of the fitter</span>'
        "<span>Date, signature of the client</span></div>"
    )
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>Hearing aid fitting{_suffix(client)}</title><style>{STYLE}</style></head>"
        f"<body>\n{body}\n</body></html>\n"
    )


def _suffix(client: str) -> str:
    return f", {html.escape(client)}" if client else ""


def _list(facts: Iterable[tuple[str, str]]) -> str:
    rows = [f"<dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd>" for k, v in facts if v]
    return f"<dl>{''.join(rows)}</dl>"


def _heading(ear: Ear, words: str) -> str:
    return (
        f'<h2><span class="{ear.value}">{SIGNS[ear]}</span> {ear.value.capitalize()} ear: '
        f"{words}</h2>"
    )


def _ear(ear: Ear, plan: Plan, state: DeviceState) -> list[str]:
    fitting = plan.fitting
    rule = RULE_WORDS.get(fitting.rule, f"gain table {fitting.rule}")
    known = state.ears.get(ear)
    facts = [
        ("Rule", rule),
        ("Compression", "none" if max(fitting.compression_ratio) == 1.0 else "as below"),
        ("Maximum power output", f"{fitting.mpo_db_spl:g} dB SPL"),
        ("Noise reduction", f"{100 * fitting.noise_reduction:.0f} %"),
    ]
    rows = [
        (f"Target gain, speech of {level:g} dB SPL, dB", gains_at(fitting, level))
        for level in SPEECH_LEVELS_DB_SPL
    ]
    rows.append(("Compression ratio", list(fitting.compression_ratio)))
    if known is not None:
        rows.append(("Applied by the device, dB", list(known.applied.gain_65_db)))
    kind, sentence = _standing(plan, known, state)
    return [
        _heading(ear, "fitting"),
        f'<p class="state {kind}">{html.escape(sentence)}</p>',
        _list(facts),
        _table("Hz", [f"{hz:g}" for hz in CHANNEL_FREQUENCIES_HZ], rows),
    ]


def _standing(plan: Plan, known: EarState | None, state: DeviceState) -> tuple[str, str]:
    """Whether the device has this fitting, in its own words."""
    if not state.connected or known is None:
        return "open", "The device was not connected: nothing of this was confirmed by it."
    stored = known.stored
    if stored is None or not _same(stored.fitting.gain_65_db, plan.fitting.gain_65_db):
        return "open", "Not stored in the device when this report was made."
    limits = (stored.fitting.mpo_db_spl, stored.fitting.noise_reduction)
    if not _same(limits, (plan.fitting.mpo_db_spl, plan.fitting.noise_reduction)):
        return "open", "The device has these gains, but another limit or noise reduction."
    gains = [gain - known.applied.volume_db for gain in known.applied.gain_65_db]
    if not _same(gains, plan.fitting.gain_65_db):
        return "open", "Stored in the device, which applied other gains at that moment."
    volume = known.applied.volume_db
    extra = f" (volume {volume:+g} dB at that moment)" if volume else ""
    limit = known.applied.mpo_db_spl
    ceiling = f"; its limiter keeps {limit:g} dB SPL" if math.isfinite(limit) else ""
    if not known.applied.calibrated:
        ceiling += ", because the ear is not calibrated"
    return "good", f"Stored in the device, which confirmed that it applies it{extra}{ceiling}."


def _same(one: Sequence[float], other: Sequence[float]) -> bool:
    return bool(np.allclose(one, other, rtol=0.0, atol=SAME_GAIN_DB))


def _table(corner: str, heads: Sequence[str], rows: Iterable[tuple[str, Sequence[float]]]) -> str:
    head = "".join(f'<th scope="col">{h}</th>' for h in (corner, *heads))
    lines = [
        f'<tr><th scope="row">{html.escape(words)}</th>'
        + "".join(f"<td>{value:.1f}</td>" for value in row)
        + "</tr>"
        for words, row in rows
    ]
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _thresholds(plans: Mapping[Ear, Plan]) -> str:
    ears = [ear for ear in EARS if ear in plans]
    cells: dict[float, dict[Ear, str]] = {}
    for ear in ears:
        for hz, db, silent in plans[ear].audiogram.points():
            words = "–" if db is None else f"{'no response at ' if silent else ''}{db:g}"
            cells.setdefault(hz, {})[ear] = words
    head = "".join(
        f'<th scope="col"><span class="{ear.value}">{SIGNS[ear]}</span> {ear.value}</th>'
        for ear in ears
    )
    lines = [
        f'<tr><th scope="row">{hz:g} Hz</th>'
        + "".join(f"<td>{cells[hz].get(ear, '–')}</td>" for ear in ears)
        + "</tr>"
        for hz in sorted(cells)
    ]
    return (
        f'<table><thead><tr><th scope="col">Threshold, dB HL</th>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table>"
    )


def _audiogram(audiograms: Mapping[Ear, Audiogram]) -> str:
    octave, left, top = 44.0, 34.0, 26.0
    width, height = 6.0 * octave, 6.5 * octave

    def x(hz: float) -> float:
        return left + octave * math.log2(hz / 125.0)

    def y(db: float) -> float:
        return top + (db + 10.0) / 20.0 * octave

    marks = []
    for level in range(0, 121, 20):
        at_y = y(level)
        marks.append(f'<path d="M{left} {at_y:.1f}h{width}" stroke="#dfe4e9"/>')
        marks.append(f'<text x="{left - 5}" y="{at_y + 3:.1f}" text-anchor="end">{level}</text>')
    for octave_hz in (125, 250, 500, 1000, 2000, 4000, 8000):
        at_x = x(octave_hz)
        marks.append(f'<path d="M{at_x:.1f} {top}v{height}" stroke="#dfe4e9"/>')
        marks.append(f'<text x="{at_x:.1f}" y="{top - 6}" text-anchor="middle">{octave_hz}</text>')
    marks.append(
        f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="none" '
        'stroke="#8a96a2"/>'
    )
    for ear, audiogram in audiograms.items():
        colour = "#b3202b" if ear is Ear.RIGHT else "#1d4fb8"
        dashes = "" if ear is Ear.RIGHT else ' stroke-dasharray="6 4"'
        pen, line = "M", ""
        signs = []
        for hz, db, silent in audiogram.points():
            if db is None:
                continue
            at_x, at_y = x(hz), y(db)
            if silent:
                pen = "M"
            else:
                line += f"{pen}{at_x:.1f} {at_y:.1f}"
                pen = "L"
            signs.append(_sign(ear, at_x, at_y, silent))
        marks.append(
            f'<g fill="none" stroke="{colour}"><path d="{line}" stroke-width="1.2"{dashes}/>'
            f'<g stroke-width="1.8">{"".join(signs)}</g></g>'
        )
    return (
        f'<svg viewBox="0 0 {left + width + 12:.0f} {top + height + 4:.0f}" role="img" '
        'aria-label="Audiogram; the table beside it holds the same numbers">'
        f"{''.join(marks)}</svg>"
    )


def _sign(ear: Ear, x: float, y: float, silent: bool) -> str:
    if ear is Ear.RIGHT:
        sign = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'
    else:
        sign = f'<path d="M{x - 4.2:.1f} {y - 4.2:.1f}l8.4 8.4m0-8.4l-8.4 8.4"/>'
    if silent:
        side = -1 if ear is Ear.RIGHT else 1
        sign += f'<path d="M{x + side * 4:.1f} {y + 4:.1f}l{side * 7} 8m{-side * 5} -1l{side * 5} 1'
        sign += f'l{-side} -5"/>'
    return sign
