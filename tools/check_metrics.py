"""Compare the fast HASPI, HASQI and HAAQI with pyclarity's on a corpus, and print the differences.

    python tools/check_metrics.py [--speech FOLDER] [--seconds 1.5] [--audiograms S2 S3]

Eleven audiograms (flat 0, N1 to N7, S1 to S3) times eight kinds of processing, at 50, 65 and
80 dB SPL in turn, with the metrics' noise on and off in turn. Exits with 1 when a score differs
by more than 1e-6.
"""

import argparse
import contextlib
import itertools
import logging
import sys
from pathlib import Path
from unittest.mock import patch

import numpy as np
from metrics_corpus import (
    AUDIOGRAMS,
    PROCESSING,
    SAMPLE_RATE_HZ,
    at_level,
    recorded_speech,
    synthetic_speech,
)
from neuroamp_host.evaluation.metrics import ReferenceEar
from neuroamp_host.evaluation.metrics.reference import (
    haaqi_reference,
    haspi_reference,
    hasqi_reference,
)

TOLERANCE = 1e-6
LEVELS_DB_SPL = (50.0, 65.0, 80.0)
REFERENCES = {"haspi": haspi_reference, "hasqi": hasqi_reference, "haaqi": haaqi_reference}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speech", type=Path, help="folder of recordings; default: synthetic")
    parser.add_argument("--seconds", type=float, default=1.5, help="per signal (default 1.5)")
    parser.add_argument("--audiograms", nargs="+", choices=AUDIOGRAMS, default=list(AUDIOGRAMS))
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)

    rng = np.random.default_rng(0)
    levels = itertools.cycle(LEVELS_DB_SPL)
    seeds = itertools.cycle([0, None])
    worst = dict.fromkeys(REFERENCES, 0.0)
    print(f"{'audiogram':10s}{'processing':14s}{'level':>6s} {'noise':6s}", end="")
    print("".join(f"{name + ' ':>18s}" for name in REFERENCES) + "(score, difference)")
    for name in arguments.audiograms:
        thresholds = AUDIOGRAMS[name]
        if arguments.speech:
            speech = recorded_speech(arguments.speech, rng, arguments.seconds)
        else:
            speech = synthetic_speech(rng, arguments.seconds)
        for kind, process in PROCESSING.items():
            level_db_spl, seed = next(levels), next(seeds)
            clean = at_level(speech, level_db_spl)
            processed = process(clean, rng)
            ear = ReferenceEar(clean, SAMPLE_RATE_HZ, thresholds, dither_seed=seed)
            scores = ear.scores(processed, tuple(REFERENCES))
            noise = "on" if seed is not None else "off"
            line = f"{name:10s}{kind:14s}{level_db_spl:6.0f} {noise:6s}"
            for metric, reference in REFERENCES.items():
                noiseless = patch("numpy.random.standard_normal", np.zeros)
                with noiseless if seed is None else contextlib.nullcontext():
                    expected = reference(clean, processed, SAMPLE_RATE_HZ, thresholds, seed=0)
                difference = abs(getattr(scores, metric).score - expected.score)
                worst[metric] = max(worst[metric], difference)
                line += f"{expected.score:8.4f} {difference:8.1e} "
            print(line, flush=True)
        next(levels)  # so that every processing meets every level
        next(seeds)
    print("largest differences: " + ", ".join(f"{k} {v:.1e}" for k, v in worst.items()))
    return 0 if max(worst.values()) <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
