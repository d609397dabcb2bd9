"""Prescription rules: audiogram to insertion gain, one pure function a file.

Only openly published rules are implemented; the gains of a licensed one (NAL-NL2, DSL m[i/o])
can be loaded as a table.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from neuroamp.audiogram import Audiogram
from neuroamp.errors import NeuroampError
from numpy.typing import ArrayLike

from neuroamp_host.prescription.cameq import cameq_compressive, cameq_linear
from neuroamp_host.prescription.gain_table import load_gain_table
from neuroamp_host.prescription.half_gain import half_gain
from neuroamp_host.prescription.nal_r import nal_r, nal_r_clarity
from neuroamp_host.prescription.nal_rp import nal_rp
from neuroamp_host.prescription.rule import Floats, Prescription, compression_ratio

LINEAR_RULES: dict[str, Callable[[Audiogram, ArrayLike], Floats]] = {
    "half-gain": half_gain,
    "nal-r": nal_r,
    "nal-r-clarity": nal_r_clarity,
    "nal-rp": nal_rp,
    "cameq": cameq_linear,
}
"""Rules that give one gain a frequency."""

COMPRESSIVE_RULES: dict[str, Callable[[Audiogram, ArrayLike], Prescription]] = {
    "cameq-compressive": cameq_compressive,
}
"""Rules that give gain and compression."""

RULES = (*LINEAR_RULES, *COMPRESSIVE_RULES)


def prescribe(
    rule: str, audiogram: Audiogram, frequencies_hz: ArrayLike, linear: bool = False
) -> Prescription:
    """The prescription of a rule, by name or by the path of a gain table (*.csv, *.json).

    A rule that gives only gains is combined with the WDRC's own compression ratio, unless
    `linear` asks for none.

    Raises:
        NeuroampError: there is no such rule, or the table is wrong.
    """
    frequencies = np.asarray(frequencies_hz, dtype=np.float64)
    if rule in LINEAR_RULES:
        prescription = Prescription(
            frequencies,
            LINEAR_RULES[rule](audiogram, frequencies),
            compression_ratio(audiogram, frequencies),
        )
    elif rule in COMPRESSIVE_RULES:
        prescription = COMPRESSIVE_RULES[rule](audiogram, frequencies)
    elif rule.lower().endswith((".csv", ".json")):
        prescription = load_gain_table(Path(rule), frequencies)
    else:
        raise NeuroampError(
            f"there is no prescription rule {rule!r}; choose from {', '.join(RULES)} or give a "
            "gain table (*.csv, *.json)."
        )
    if linear:
        return Prescription(frequencies, prescription.gain_65_db, np.ones(frequencies.size))
    return prescription
