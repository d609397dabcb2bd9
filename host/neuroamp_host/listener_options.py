"""Options that several commands share: who listens, by which prescription, with which model."""

from __future__ import annotations

import argparse
from pathlib import Path

from neuroamp.audiogram import Ear, Listener
from neuroamp.engines import ENGINES
from neuroamp.fitting import Fitting
from neuroamp.released import DEFAULT_MODEL

from neuroamp_host.chains import NO_ENGINE
from neuroamp_host.prescription.fit import DEFAULT_MPO_DB_SPL, make_fitting


def add_listener_arguments(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Declares audiogram and prescription."""
    parser.add_argument(
        "--audiogram",
        required=required,
        metavar="NAME|FILE[:LISTENER]",
        help="standard audiogram (N1 to N7, S1 to S3) or a file, with the listener's name in it",
    )
    parser.add_argument(
        "--rule",
        default="nal-r",
        help="prescription: half-gain, nal-r, nal-rp, cameq, cameq-compressive or a gain table "
        "(*.csv) (default: nal-r)",
    )
    parser.add_argument("--linear", action="store_true", help="no compression")
    parser.add_argument(
        "--mpo-db-spl",
        type=float,
        default=DEFAULT_MPO_DB_SPL,
        metavar="DB",
        help="maximum power output, dB SPL of a sine, 60 to 120 (default: %(default)g)",
    )
    parser.add_argument(
        "--noise-reduction",
        type=float,
        default=1.0,
        metavar="0..1",
        help="strength of the net (default: 1)",
    )


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares engine and model."""
    parser.add_argument(
        "--engine",
        choices=["auto", *ENGINES, NO_ENGINE],
        default="auto",
        help="what runs the net; 'none' amplifies by the prescription alone (default: native "
        "where it was built)",
    )
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="PATH|NAME",
        help=f"model file or released model (default: {DEFAULT_MODEL})",
    )


def split_source(source: str) -> tuple[str, str | None]:
    """'FILE:LISTENER' in two; a file whose own name has the colon stays whole."""
    name, colon, listener = source.rpartition(":")
    return (name, listener) if colon and name and not Path(source).exists() else (source, None)


def fitting_from(options: argparse.Namespace, listener: Listener, ear: Ear) -> Fitting:
    """The fitting of one ear by the options.

    Raises:
        NeuroampError: the listener has no audiogram of that ear, or a value is out of range.
    """
    return make_fitting(
        listener.ear(ear),
        ear,
        rule=options.rule,
        linear=options.linear,
        mpo_db_spl=options.mpo_db_spl,
        noise_reduction=options.noise_reduction,
    )
