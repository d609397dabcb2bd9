"""A folder with a MANIFEST.csv: one row a file, with split, kind, speaker and licence."""

from __future__ import annotations

import csv
import os.path
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from neuroamp.errors import NeuroampError

from neuroamp_host.corpora.corpus import SPLITS, Kind, SkippedFiles, Utterance

NAME = "manifest"
LAYOUT = "a MANIFEST.csv with the columns path, split and kind"
MANIFEST_NAME = "MANIFEST.csv"
EVALUATION_ONLY_FOLDER = "evaluation_only"
_REQUIRED = ("path", "split", "kind")
_KINDS = {
    "speech": Kind.SPEECH,
    "noise": Kind.NOISE,
    "music": Kind.MUSIC,
    "ir": Kind.IMPULSE_RESPONSE,
}


def recognises(root: Path) -> bool:
    """Whether there is a manifest."""
    return (root / MANIFEST_NAME).is_file()


def utterances(root: Path, split: str, skipped: SkippedFiles) -> Iterator[Utterance]:
    """The utterances of one split, and the impulse responses (split 'all'), in the file's order.

    Columns: path (relative to the manifest), split and kind are needed; source, licence, speaker
    and type are used where present. Of a 'paired' file in a folder `noisy`, the partner is the
    file of the same name in the folder `clean` beside it. Rows of other kinds (audiograms) are
    no audio and are passed over.

    Raises:
        NeuroampError: the manifest is not UTF-8, lacks a column or names an unknown split.
    """
    for row in _rows(root / MANIFEST_NAME):
        if row["split"] not in (split, "all") or row["kind"] == "audiogram":
            continue
        relative = PurePosixPath(row["path"])
        path = root / relative
        kind = _kind(row["kind"], relative)
        if kind is None:
            continue
        partner = path.parent.parent / "clean" / path.name if kind is Kind.NOISY_SPEECH else None
        reason = _reason_to_skip(relative, path, partner)
        if reason is not None:
            skipped.add(path, reason)
            continue
        yield Utterance(
            path=path,
            corpus=row.get("source", ""),
            split=row["split"],
            kind=kind,
            speaker=row.get("speaker", ""),
            type=row.get("type", ""),
            partner=partner,
            licence=row.get("licence", ""),
            evaluation_only=relative.parts[0] == EVALUATION_ONLY_FOLDER,
        )


def _rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            for column in _REQUIRED:
                if column not in (reader.fieldnames or ()):
                    raise NeuroampError(
                        f"{path} has the columns {reader.fieldnames or []} but needs {column!r}; "
                        "add it."
                    )
            for row in reader:
                if row["split"] not in (*SPLITS, "all"):
                    raise NeuroampError(
                        f"{path} line {reader.line_num} has the split {row['split']!r} but "
                        f"{', '.join(SPLITS)} or all is expected; correct it."
                    )
                yield row
    except (UnicodeDecodeError, csv.Error) as error:
        raise NeuroampError(f"{path} is not a CSV file in UTF-8 ({error}); restore it.") from None


def _kind(name: str, path: PurePosixPath) -> Kind | None:
    """Kind of a row; None for the clean half of a pair, which its noisy half brings along."""
    if name == "paired":
        return Kind.NOISY_SPEECH if path.parent.name == "noisy" else None
    return _KINDS.get(name)


def _reason_to_skip(relative: PurePosixPath, path: Path, partner: Path | None) -> str | None:
    if not relative.parts or relative.is_absolute() or ".." in relative.parts:
        return "its path leaves the manifest's folder"
    # os.path.isfile, unlike Path.is_file, also says no to a name too long to exist.
    if not os.path.isfile(path):
        return "it is in the manifest but not on disk"
    if partner is not None and not os.path.isfile(partner):
        return f"its clean partner {partner} is not on disk"
    return None
