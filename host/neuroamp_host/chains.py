"""The chain of one ear, or an aid, for a command: by the native engine where it was built."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from neuroamp.aid import Aid
from neuroamp.chain import EarChain
from neuroamp.engines import ENGINES, open_engine
from neuroamp.engines.native import NativeChain
from neuroamp.errors import NeuroampError
from neuroamp.fitting import Fitting
from neuroamp.link.records import Calibration
from neuroamp.model_file import ModelInfo
from neuroamp.profile import WEAR
from neuroamp.released import find_model

NATIVE = "native"
NO_ENGINE = "none"
"""The prescription alone."""


@dataclasses.dataclass(frozen=True)
class OpenedChain:
    """A chain at rest and where it is from.

    Attributes:
        chain: of one ear.
        engine: a name of `ENGINES`, or `NO_ENGINE`.
        model: the model's file; None without a net.
        info: what that says about itself.
    """

    chain: NativeChain | EarChain
    engine: str
    model: Path | None
    info: ModelInfo | None


def choose_model(model: str, engine: str) -> tuple[str, Path | None]:
    """Name of the engine and the model's file that options mean.

    Args:
        model: file or name of a released model.
        engine: a name of `ENGINES`, `NO_ENGINE`, or 'auto': what the file is for, and for a name
            the native engine. Where that was not built, the next is taken and this is said.

    Raises:
        NeuroampError: there is no such model or engine.
    """
    if engine == NO_ENGINE:
        return engine, None
    path = find_model(model, engine)
    if engine != "auto":
        return engine, path
    chosen = next(name for name, kind in ENGINES.items() if kind.suffix == path.suffix.lower())
    if Path(model) != path and not ENGINES[NATIVE].is_installed():
        print(
            f"note: the engine {chosen} is used: the native engine was not built, because no C "
            "compiler was found when neuroamp was installed."
        )
    return chosen, path


def open_chain(model: str, engine: str, fitting: Fitting) -> OpenedChain:
    """A chain at rest for the fitting's ear; arguments and errors as `choose_model`."""
    engine, path = choose_model(model, engine)
    is_built = ENGINES[NATIVE].is_installed()
    if path is None:
        alone = NativeChain(None, fitting) if is_built else EarChain(WEAR, fitting)
        return OpenedChain(alone, engine, None, None)
    if engine == NATIVE:
        chain = NativeChain(path, fitting)
        return OpenedChain(chain, engine, path, chain.info)
    opened = open_engine(path, engine)
    made = EarChain(opened.info.profile, fitting, opened)
    return OpenedChain(made, engine, path, opened.info)


@dataclasses.dataclass(frozen=True)
class OpenedAid:
    """An aid at rest and where it is from; the attributes are those of `OpenedChain`."""

    aid: Aid
    engine: str
    model: Path | None


def open_aid(
    model: str, engine: str, fittings: Sequence[Fitting], calibrations: Sequence[Calibration] = ()
) -> OpenedAid:
    """An aid at rest for the fittings' ears; it needs the core (`check_core`).

    Args:
        model, engine: as for `choose_model`.
        fittings, calibrations: as for `neuroamp.aid.Aid`.

    Raises:
        NeuroampError: as `choose_model` and `Aid`.
    """
    engine, path = choose_model(model, engine)
    if path is None or engine == NATIVE:
        aid = Aid(path, fittings, calibrations)
    else:
        engines = {fitting.ear: open_engine(path, engine) for fitting in fittings}
        aid = Aid(None, fittings, calibrations, engines)
    return OpenedAid(aid, engine, path)


def check_core(what: str) -> None:
    """Passes if the C core was built, which `what` needs.

    Raises:
        NeuroampError: it was not.
    """
    if not ENGINES[NATIVE].is_installed():
        raise NeuroampError(
            f"{what} needs the C core, which was not built because no C compiler was found when "
            "neuroamp was installed; install gcc or clang and then neuroamp again."
        )
