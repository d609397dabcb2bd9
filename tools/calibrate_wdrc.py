"""Measures `neuroamp.wdrc.TRACKING_EXCESS_DB` over the training speech of a data folder.

For every recording and channel: the tracked level, weighted with the channel's power, minus the
long-term level. With a compressor anchored that much higher, running speech of 65 dB SPL gets the
prescribed gain on average.

    python tools/calibrate_wdrc.py --data ../shared/data
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from neuroamp.audiogram import BISGAARD, Ear
from neuroamp.profile import WEAR
from neuroamp.transform import stft
from neuroamp.units import level_db_spl, pascal_from_db_spl
from neuroamp.wdrc import TRACKING_EXCESS_DB, Wdrc
from neuroamp_host.corpora.audio import read_mono
from neuroamp_host.corpora.corpus import Kind
from neuroamp_host.corpora.registry import open_corpus
from neuroamp_host.prescription.fit import make_fitting
from rich.progress import track

LONGEST_S = 8.0
LEAST_S = 1.0


def main() -> None:
    """Prints the measured row beside the one in use."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="root of the training data")
    options = parser.parse_args()
    fitting = make_fitting(BISGAARD["N3"], Ear.LEFT)
    excess = []
    corpus = open_corpus(options.data, "train")
    speech = [u for u in corpus.utterances if u.kind is Kind.SPEECH]
    for utterance in track(speech):
        signal = read_mono(utterance.path)[: int(LONGEST_S * WEAR.sample_rate_hz)]
        if signal.size < LEAST_S * WEAR.sample_rate_hz or not np.any(signal):
            continue
        signal = signal * pascal_from_db_spl(65.0 - level_db_spl(signal)) / pascal_from_db_spl(0.0)
        compressor = Wdrc(WEAR, fitting)
        level = compressor.levels_db_spl(stft(WEAR, signal, every=WEAR.hops_per_step))
        tracked = np.stack([compressor.track(row) for row in level])
        power = 10.0 ** (level / 10.0)
        long_term = 10.0 * np.log10(power.mean(axis=0))
        excess.append((power * tracked).sum(axis=0) / power.sum(axis=0) - long_term)
    print(f"recordings: {len(excess)}")
    print("measured:", np.round(np.mean(excess, axis=0), 1).tolist())
    print("in use:  ", list(TRACKING_EXCESS_DB))


if __name__ == "__main__":
    main()
