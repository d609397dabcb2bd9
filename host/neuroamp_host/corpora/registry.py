"""Every data set by name, and finding out which one a folder holds."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

from neuroamp.errors import NeuroampError

from neuroamp_host.corpora import (
    cadenza,
    esc50,
    librispeech,
    manifest,
    musdb18,
    plain_folder,
    timit,
    tmhint,
    vctk,
    voicebank_demand,
)
from neuroamp_host.corpora.corpus import SPLITS, Corpus, DataSet, SkippedFiles

_IN_ORDER_OF_DETECTION: tuple[DataSet, ...] = (
    manifest,
    timit,
    tmhint,
    voicebank_demand,
    vctk,
    librispeech,
    esc50,
    cadenza,
    musdb18,
    plain_folder,
)
DATA_SETS = {data_set.NAME: data_set for data_set in _IN_ORDER_OF_DETECTION}


def open_corpus(
    root: Path, split: str, name: str | None = None, exclude_licences: tuple[str, ...] = ()
) -> Corpus:
    """One split of the data set in a folder.

    Args:
        root: the data set's folder.
        split: 'train', 'dev' or 'test'.
        name: a key of `DATA_SETS`; None finds it out from the folder.
        exclude_licences: shell patterns, case ignored; files whose licence matches one are left
            out, e.g. `("*GPL*", "*BY-SA*")`.

    Raises:
        NeuroampError: the folder is missing or laid out otherwise, the name or split is unknown.
    """
    if split not in SPLITS:
        raise NeuroampError(f"the split is {split!r} but must be one of {', '.join(SPLITS)}.")
    if not root.is_dir():
        raise NeuroampError(f"the data folder {root} does not exist; give the path of a data set.")
    data_set = _data_set(root, name)
    skipped = SkippedFiles()
    utterances = tuple(
        utterance
        for utterance in data_set.utterances(root, split, skipped)
        if not any(
            fnmatch(utterance.licence.lower(), pattern.lower()) for pattern in exclude_licences
        )
    )
    return Corpus(data_set.NAME, root, split, utterances, skipped)


def _data_set(root: Path, name: str | None) -> DataSet:
    if name is None:
        for data_set in _IN_ORDER_OF_DETECTION:
            if data_set.recognises(root):
                return data_set
        layouts = "; ".join(f"{d.NAME}: {d.LAYOUT}" for d in _IN_ORDER_OF_DETECTION)
        raise NeuroampError(
            f"the folder {root} is laid out as none of the known data sets ({layouts}); give the "
            "folder that directly holds these."
        )
    if name not in DATA_SETS:
        raise NeuroampError(f"there is no data set {name!r}; known are {', '.join(DATA_SETS)}.")
    data_set = DATA_SETS[name]
    if not data_set.recognises(root):
        raise NeuroampError(
            f"{name} expects {data_set.LAYOUT} but the folder {root} holds nothing of the kind; "
            "give the folder that directly holds these."
        )
    return data_set
