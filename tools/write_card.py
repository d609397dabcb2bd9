"""Writes a released model's card from what the commands measured; no number is typed.

    python tools/write_card.py wear --run runs/wear --data ../shared/data ../more \\
        --evaluation out/evaluation/summary.json
    python tools/write_card.py paper-lstm --run runs/paper-lstm --data ../shared/data

Reads models/NAME/parity.json (`neuroamp export`), the run's log (`neuroamp train`) and the summary
of `neuroamp evaluate`, or of the paper's nets the tables in docs/results (`neuroamp evaluate
--table`); writes models/NAME/README.md and keeps the summary beside it.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

from neuroamp.model_file import read_model_info
from neuroamp.profile import PAPER_BANDS, PROFILES
from neuroamp_host.corpora.mixing import MixtureSampler
from neuroamp_host.enhancement.nets import ENHANCERS
from neuroamp_host.evaluation.paper import published
from neuroamp_host.evaluation.systems import AT_EQUAL_LEVEL, NAL_R_WDRC, NEUROAMP, PEER
from neuroamp_host.training import checkpoint
from neuroamp_host.training.config import load_config

MODELS = Path(__file__).resolve().parents[1] / "models"

METRIC_NAMES = {"haspi": "HASPI", "hasqi": "HASQI", "haaqi": "HAAQI", "level_db_spl": "level"}
COMPARED = (NEUROAMP, AT_EQUAL_LEVEL, PEER)

_FIDELITY = (
    "The {} of the paper's Table I: log-magnitudes and the six-point audiogram in, "
    "log-magnitudes out, the phase kept; 32 ms of delay. Trained with the paper's mean squared "
    "error to amplify as NAL-R with WDRC does (Eq. 6), noise and all. For research, not wearing."
)

_SMOOTH = (
    " The gains that the device makes of its output are smooth across frequency "
    "(docs/networks.md), which the paper's are not."
)

WHAT = {
    "wear": (
        "The wearable net: 64 band levels and the six-point audiogram in, 64 gains out, added to "
        "the prescription's own (NAL-R with WDRC, steadied) where it finds noise "
        "(docs/architecture.md); 4 ms of algorithmic delay. Trained for Eq. 8 of the "
        "paper with a loss that hears what the listener hears (`neuroamp_host/training/losses.py`)."
    ),
    "paper": (
        "Denoising NeuroAMP: the optimised LSTM of Table I, trained to give of noisy sound the "
        "clean sound's amplification (Eq. 8). 257 log-magnitudes and the six-point audiogram in, "
        "257 log-magnitudes out, the noisy phase kept; 32 ms of delay. For research, not for "
        "wearing. Minimised is the paper's squared error and beside it the wearable net's loss, "
        "without which the output is 9 dB too soft. Meant for a noise reduction of 0.7 (Table VI)."
        + _SMOOTH
    ),
    **{
        f"paper-{name.lower()}-basic": _FIDELITY.format(f"basic {name}")
        for name in published.ARCHITECTURES
    },
    **{
        f"paper-{name.lower()}": _FIDELITY.format(f"optimised {name}") + _SMOOTH
        for name in published.ARCHITECTURES
    },
    "enhancer-lstm": (
        "A speech enhancer for evaluation, no part of the aid: LSTM layers from log-magnitudes to "
        "a mask (after the paper's reference [43]). It makes the condition 'enhanced (LSTM)' and "
        "the first of two stages in Table VI."
    ),
    "enhancer-fcn": (
        "A speech enhancer for evaluation, no part of the aid: convolutions over the waveform "
        "(after the paper's reference [27]). It makes the condition 'enhanced (FCN)'."
    ),
}

ARCHITECTURES = {
    f"paper-{name.lower()}{ending}": name
    for name in published.ARCHITECTURES
    for ending in ("", "-basic")
}

_PAPER_FAILURES = (
    "32 ms of delay: not for wearing.",
    "Its magnitudes are not bounded by the prescription, only by the output limiter.",
)

FAILURES = {
    "wear": (
        "Where there is little noise it does little or nothing (docs/architecture.md): less than "
        "a net could give there.",
        "Some music is still taken for noise and loses quality (HAAQI above); the music program, "
        "which is noise reduction 0, leaves it to the prescription.",
        "After a change from noise to quiet, or back, the gains take seconds to follow, up to "
        "about five.",
        "A steady pure tone may be taken for noise: its gain does not flutter, but can sink slowly "
        "to the lower end of the range (`tests/test_wear_behaviour.py` holds it to 1 dB in a "
        "quarter of a second).",
        "Soft speech (below 65 dB SPL) may come out up to 3 dB louder than prescribed, and a sound "
        "in a few channels alone, such as a tone, up to 2 dB.",
        "The 8-bit-activation TFLite file (`wear-int8.tflite`) is far from the float net "
        "(`parity.json`) and not for listening.",
    ),
    "paper": (
        "At noise reduction 1 it loses intelligibility where there is little noise.",
        *_PAPER_FAILURES,
    ),
    **dict.fromkeys(ARCHITECTURES, _PAPER_FAILURES),
    **{
        name: (
            "Its dev loss is several times that of the LSTM and the CNN, and clean speech and "
            "music lose quality.",
            *_PAPER_FAILURES,
        )
        for name in ("paper-crnn", "paper-crnn-basic")
    },
    "enhancer-lstm": ("Speech below the noise is taken away with it.",),
    "enhancer-fcn": ("It hears 330 samples, no more: slow noises stay.",),
}

_ON_A_GPU = (
    "on a GPU that trained {} other nets in the same steps (the mixtures and the optimiser's "
    "steps are those of the command, their order of rounding is not{})"
)
_SECOND = _ON_A_GPU.format("five", "")
_HALVES = _ON_A_GPU.format("five", "; the mixtures are the first half of each batch of 64")
BESIDE = {
    **dict.fromkeys(WHAT, _ON_A_GPU.format("thirteen", "")),
    "paper": (
        "on one CPU thread. It is the third of three runs and began with the weights of the "
        "second, `models/paper/train-second.toml`, as they had been released in 8 bits "
        "(`tools/checkpoint_of_release.py`)"
    ),
    "wear": (
        "on two CPU cores. It began with the weights of `models/wear/train-first.toml`, 7,738 "
        "steps "
        + _ON_A_GPU.format(
            "five",
            "; while it trained, nothing yet limited a moment's weight and gain in the mean of the "
            "steadied gains, which lay within 6 dB of the momentary ones on either side",
        )
        + ". In both runs each channel had a mean gain of its own, not yet all channels one level"
    ),
    "paper-transformer": (
        "on two CPU cores. It is the second of two runs and was ended before its 2,400 steps; it "
        "began with the weights of the first, `models/paper-transformer/train-first.toml`, as they "
        "had been released in 8 bits (`tools/checkpoint_of_release.py`), 7,873 steps "
        + _ON_A_GPU.format("thirteen", "")
    ),
    **dict.fromkeys(("paper-lstm-basic", "paper-transformer-basic"), _SECOND),
    **dict.fromkeys(("paper-cnn-basic", "paper-crnn-basic", "paper-crnn"), _HALVES),
}
"""What the minutes of training were shared with."""

PROFILE_REPLACED = ("paper-cnn", "paper-lstm", "paper-crnn")
"""Of these the files were exported with each bin's own gain and got `PAPER_BANDS` afterwards."""

RELEASED_LAST = ("wear", "paper")
"""Of these the last step's checkpoint is released, not that of the lowest dev loss."""

FURTHER_DATA = dict.fromkeys(("wear", "paper", "paper-transformer"), " MORE")
"""Folders beside DATA: MORE is made by tools/more_recordings.py."""

RESULTS = MODELS.parent / "docs" / "results"


def main() -> None:
    """Writes the card."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("name", choices=sorted(WHAT))
    parser.add_argument("--run", type=Path, required=True, help="folder of `neuroamp train`")
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, help="roots of the training data"
    )
    parser.add_argument("--evaluation", type=Path, help="summary.json, of the wearable net")
    options = parser.parse_args()
    folder = MODELS / options.name
    if options.evaluation is not None:
        summary = json.loads(options.evaluation.read_text(encoding="utf-8"))
        (folder / "evaluation.json").write_text(json.dumps(summary, indent=2), encoding="utf-8")
        scores = _evaluation(options.name, summary)
    else:
        scores = _paper_scores(options.name)
    sections = [
        f"# {options.name}\n\n{WHAT[options.name]}",
        _training(options.name, options.run),
        _sources(options.data),
        scores,
        _files(folder),
        "## Known failures\n\n" + "\n".join(f"- {line}" for line in FAILURES[options.name]),
        "## Licence\n\nMIT, like the project. The recordings it was trained on have the licences "
        "above.",
    ]
    (folder / "README.md").write_text("\n\n".join(sections) + "\n", encoding="utf-8")


def _training(name: str, run: Path) -> str:
    with (run / "log.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "dev"]
    last = name in RELEASED_LAST
    shown = rows[-1] if last else min(rows, key=lambda row: float(row["loss"]))
    released = "last.pt" if last else "best.pt"
    content = checkpoint.load(run / released)
    parameters = sum(weight.numel() for weight in content["state_dict"].values())
    text = (
        "## Training\n\n"
        f"`neuroamp train models/{name}/train.toml --data DATA{FURTHER_DATA.get(name, '')} "
        f"--out runs/{name}` "
        f"({parameters:,} weights). {'Last' if last else 'Best'} dev loss "
        f"{float(shown['loss']):.4f} at step {shown['step']} of the "
        f"{rows[-1]['step']} that were run; "
        f"{float(rows[-1]['seconds']) / 60:.0f} minutes, {BESIDE[name]}."
    )
    if name in ENHANCERS:
        return text
    return (
        f"{text}\n\n"
        f"`neuroamp export runs/{name}/{released} --out models/{name} --data DATA"
        f"{_output_options(name)}` "
        + (
            "makes such files; these are the first release's, in which the profile alone was "
            "replaced."
            if name in PROFILE_REPLACED
            else "made the files."
        )
    )


def _output_options(name: str) -> str:
    """The export's options, where the released profile is not the one that was trained with."""
    path = next(path for path in sorted((MODELS / name).iterdir()) if path.suffix == ".onnx")
    released = read_model_info(path).profile
    if released == PAPER_BANDS:
        config = load_config(MODELS / name / "train.toml")
        return "" if config.smooth_gains else " --smooth-gains"
    trained = PROFILES[released.name]
    if (released.gain_min_db, released.gain_max_db) == (trained.gain_min_db, trained.gain_max_db):
        return ""
    return f" --gain-range {released.gain_min_db:g} {released.gain_max_db:g}"


def _sources(data: list[Path]) -> str:
    sampler = MixtureSampler(data, "train", seconds=2.0)
    lines = [
        f"| {source} | {licence} | {seconds / 60:.1f} |"
        for source, licence, seconds in _merged(sampler)
    ]
    return (
        "## Data\n\nTraining split, mixed on the fly (`neuroamp_host/corpora/mixing.py`):\n\n"
        "| source | licence | minutes |\n|---|---|---|\n" + "\n".join(lines)
    )


def _merged(sampler: MixtureSampler) -> list[tuple[str, str, float]]:
    return [
        (source or "unnamed", licence or "unstated", seconds)
        for source, licence, seconds in sampler.sources
    ]


def _evaluation(name: str, summary: dict[str, Any]) -> str:
    parts = [
        f"## Scores\n\n`neuroamp evaluate --data DATA --suite {summary['suite']} --split "
        f"{summary['split']} --model {name} --engine {summary['engine']} --noise-reduction "
        f"{summary['noise_reduction']:g}{_clip_counts(summary)}` on `{summary['model']}`. Speech "
        f"at {summary['speech_level_db_spl']:g} dB SPL where no level is named; levels are the "
        "output's, in dB SPL; in brackets the difference's 95 % bootstrap interval over clips."
    ]
    for condition in dict.fromkeys(table["condition"] for table in summary["tables"]):
        tables = [table for table in summary["tables"] if table["condition"] == condition]
        parts.append(_table(condition, tables))
        parts += [
            _differences(table)
            for table in tables
            if table["group"] == "mean" or condition in ("soft clean speech", "loud noisy speech")
        ]
    return "\n\n".join(parts)


def _paper_scores(name: str) -> str:
    """What the tables in docs/results say about one of the paper's nets or an enhancer."""
    lines = ["## Scores", ""]
    if name in ARCHITECTURES:
        for number in ("ii",) if name.endswith("-basic") else ("iii", "v"):
            values = json.loads((RESULTS / f"table-{number}.json").read_text(encoding="utf-8"))
            for metric, nets in values.items():
                found = nets[ARCHITECTURES[name]]["all"]
                lines.append(
                    f"- {metric} against NAL-R+WDRC, {found['clips']} sounds unseen in training: "
                    + ", ".join(
                        f"{statistic} {found[statistic]['value']:.4f} "
                        f"[{found[statistic]['low']:.4f}, {found[statistic]['high']:.4f}]"
                        for statistic in ("LCC", "SRCC", "MSE")
                    )
                    + f" ([Table {number.upper()}](../../docs/results/table-{number}.md))."
                )
    else:
        lines.append(
            "[Table VI](../../docs/results/table-vi.md)"
            + (" and [Table IV](../../docs/results/table-iv.md)." if name in ENHANCERS else ".")
        )
    return "\n".join(lines)


def _table(condition: str, tables: list[dict[str, Any]]) -> str:
    metrics = list(next(iter(tables[0]["systems"].values())))
    head = " | ".join(table["group"] for table in tables)
    rows = [
        f"| {system} | "
        + " | ".join(
            " / ".join(_shown(metric, table["systems"][system][metric]) for metric in metrics)
            for table in tables
        )
        + " |"
        for system in tables[0]["systems"]
    ]
    named = " / ".join(METRIC_NAMES[metric] for metric in metrics)
    return (
        f"{condition}, {tables[-1]['clips']} clips, {named}:\n\n| system | {head} |\n"
        f"|---|{'---|' * len(tables)}\n" + "\n".join(rows)
    )


def _shown(metric: str, value: float) -> str:
    return f"{value:.0f}" if metric == "level_db_spl" else f"{value:.3f}"


def _differences(table: dict[str, Any]) -> str:
    """NeuroAMP, the same at equal level and the peer, each minus NAL-R+WDRC."""
    lines = []
    for system in COMPARED:
        if system in table["minus_wdrc"]:
            values = ", ".join(
                f"{METRIC_NAMES[metric]} {found['mean']:+.3f} "
                f"[{found['low']:+.3f}, {found['high']:+.3f}]"
                for metric, found in table["minus_wdrc"][system].items()
            )
            lines.append(f"- {table['group']}: {system} minus {NAL_R_WDRC}: {values}.")
    return "\n".join(lines)


def _clip_counts(summary: dict[str, Any]) -> str:
    """The evaluation's options for how many clips, as they were."""
    counts = {
        table["condition"]: table["clips"]
        for table in summary["tables"]
        if table["group"] == "mean"
    }
    return "".join(f" --{name} {counts.get(name, 0)}" for name in ("pairs", "mixtures"))


def _files(folder: Path) -> str:
    text = "## Files\n\n"
    if (folder / "parity.json").exists():
        text += (
            "`parity.json` holds the whole report that `neuroamp export` printed: the output's SNR "
            "against torch over a long stream, first and last minute, and the time of a step."
            f"{_parity_before_smoothing(folder)}\n\n"
        )
    text += "| file | kB |\n|---|---|\n"
    files = [
        path
        for path in sorted(folder.iterdir())
        if path.suffix in (".onnx", ".tflite", ".nam", ".pt")
    ]
    return text + "\n".join(f"| {path.name} | {path.stat().st_size / 1000:.0f} |" for path in files)


def _parity_before_smoothing(folder: Path) -> str:
    """What to know of a report that is older than the smooth gains of its files."""
    report = json.loads((folder / "parity.json").read_text(encoding="utf-8"))
    smooth = read_model_info(next(folder.glob("*.onnx"))).profile == PAPER_BANDS
    if not smooth or "second_pass_db" in report["files"][0]:
        return ""
    return " It was written when each bin had its own gain; what smooths them comes after the net."


if __name__ == "__main__":
    main()
