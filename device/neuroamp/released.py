"""Where the released models are: `models/<name>/<name>-<quantisation>.onnx` or `.tflite`."""

from __future__ import annotations

import os
from pathlib import Path

from neuroamp.engines import ENGINES
from neuroamp.errors import NeuroampError

DEFAULT_MODEL = "wear"
MODELS_VARIABLE = "NEUROAMP_MODELS"

PREFERENCE = ("dynamic", "16x8", "int8", "float32")
"""Which file of a model is taken when several suit the engine: a quantised one first, and of the
TFLite files the one closest to the float net (`parity.json`)."""


def model_folders() -> list[Path]:
    """Folders that hold released models: $NEUROAMP_MODELS, the checkout's, the package's own."""
    package = Path(__file__).resolve().parent
    checkout = package.parent.parent
    folders = [checkout / "models"] if (checkout / "pyproject.toml").is_file() else []
    if os.environ.get(MODELS_VARIABLE):
        folders.insert(0, Path(os.environ[MODELS_VARIABLE]))
    return [*folders, package / "models"]


def find_model(name: str | Path, engine: str = "auto") -> Path:
    """The model file that `name` means.

    Args:
        name: a path of a model file, the name of a released model ('wear'), or of one of its
            files ('wear-int8').
        engine: a name of `neuroamp.engines.ENGINES`, whose kind of file is wanted, or 'auto' for
            the first of them that is installed and has one.

    Raises:
        NeuroampError: there is no such file or model, or no such engine.
    """
    if engine != "auto" and engine not in ENGINES:
        raise NeuroampError(
            f"there is no engine {engine!r}; choose from {', '.join(ENGINES)} or 'auto'."
        )
    path = Path(name)
    if path.name != str(name) or path.suffix.lower() in {e.suffix for e in ENGINES.values()}:
        if not path.is_file():
            raise NeuroampError(f"there is no model file {path}; check the path.")
        return path
    kinds = [kind for kind in ENGINES if ENGINES[kind].is_installed()]
    for kind in kinds if engine == "auto" else [engine]:
        for folder in model_folders():
            files = _files(folder, str(name), ENGINES[kind].suffix)
            if files:
                return files[0]
    wanted = "" if engine == "auto" else f" for the engine {engine!r}"
    raise NeuroampError(
        f"there is no released model {str(name)!r}{wanted} in "
        f"{', '.join(map(str, model_folders()))}; give the path of a model file or set "
        f"{MODELS_VARIABLE} to the folder that holds the models."
    )


def _files(folder: Path, name: str, suffix: str) -> list[Path]:
    """Files of the model `name`, or the one whose stem is `name`, best first."""
    files = [*folder.glob(f"{name}/*{suffix}"), *folder.glob(f"*/{name}{suffix}")]
    return sorted(files, key=_rank)


def _rank(path: Path) -> tuple[int, str]:
    ranks = [i for i, kind in enumerate(PREFERENCE) if path.stem.endswith(f"-{kind}")]
    return (ranks[0] if ranks else len(PREFERENCE), path.name)
