"""Measure how much faster than pyclarity the project's metrics are, in one run on one core.

    python tools/bench_metrics.py [--seconds 3] [--repeats 3]

Prints the ratio of the times, the best of the repeats of each, interleaved: once with everything
computed per call, once with the reference prepared beforehand, as an evaluation does.
"""

import argparse
import logging
import os
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: the ratio is of one core

import numpy as np
from metrics_corpus import AUDIOGRAMS, PROCESSING, SAMPLE_RATE_HZ, at_level, synthetic_speech
from neuroamp_host.evaluation.metrics import ReferenceEar, haaqi, haspi, haspi_hasqi, hasqi
from neuroamp_host.evaluation.metrics.reference import (
    haaqi_reference,
    haspi_reference,
    hasqi_reference,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="length (default 3)")
    parser.add_argument("--repeats", type=int, default=3, help="of each (default 3)")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)

    rng = np.random.default_rng(0)
    clean = at_level(synthetic_speech(rng, arguments.seconds), 65.0)
    processed = PROCESSING["noisy"](clean, rng)
    signals = (clean, processed, SAMPLE_RATE_HZ, AUDIOGRAMS["N3"])
    ear = ReferenceEar(clean, SAMPLE_RATE_HZ, AUDIOGRAMS["N3"])

    def both_references() -> None:
        haspi_reference(*signals)
        hasqi_reference(*signals)

    contenders: dict[str, tuple[Callable, Callable, Callable]] = {
        "haspi": (
            lambda: haspi_reference(*signals),
            lambda: haspi(*signals),
            lambda: ear.haspi(processed),
        ),
        "hasqi": (
            lambda: hasqi_reference(*signals),
            lambda: hasqi(*signals),
            lambda: ear.hasqi(processed),
        ),
        "haaqi": (
            lambda: haaqi_reference(*signals),
            lambda: haaqi(*signals),
            lambda: ear.haaqi(processed),
        ),
        "haspi + hasqi": (
            both_references,
            lambda: haspi_hasqi(*signals),
            lambda: ear.haspi_hasqi(processed),
        ),
    }
    print(f"{arguments.seconds:g} s of speech, N3, best of {arguments.repeats}")
    print(f"{'':14s}{'pyclarity':>11s}{'one call':>11s}{'ratio':>7s}{'prepared':>11s}{'ratio':>7s}")
    for name, functions in contenders.items():
        for function in functions:  # compiles, and prepares the reference
            function()
        best = [float("inf")] * 3
        for _ in range(arguments.repeats):
            for index, function in enumerate(functions):
                start = time.perf_counter()
                function()
                best[index] = min(best[index], time.perf_counter() - start)
        slow, once, prepared = best
        print(
            f"{name:14s}{slow:9.3f} s{once:9.3f} s{slow / once:7.1f}"
            f"{prepared:9.3f} s{slow / prepared:7.1f}"
        )


if __name__ == "__main__":
    main()
