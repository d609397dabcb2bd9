"""Where released models are found, and which of several files is taken."""

from __future__ import annotations

from pathlib import Path

import pytest
from neuroamp import released
from neuroamp.engines import ENGINES
from neuroamp.errors import NeuroampError
from neuroamp.released import find_model


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of models that $NEUROAMP_MODELS names; every engine counts as installed."""
    for name in ("wear-float32.onnx", "wear-int8.onnx", "wear-16x8.tflite", "notes.txt"):
        path = tmp_path / "models" / "wear" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    monkeypatch.setenv("NEUROAMP_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr("importlib.util.find_spec", lambda package: package)
    return tmp_path / "models"


def test_the_engine_decides_on_the_kind_of_file(models: Path) -> None:
    assert find_model("wear", "onnx") == models / "wear" / "wear-int8.onnx"
    assert find_model("wear", "tflite") == models / "wear" / "wear-16x8.tflite"


def test_one_file_of_a_model_has_a_name_too(models: Path) -> None:
    assert find_model("wear-float32", "onnx") == models / "wear" / "wear-float32.onnx"


def test_auto_takes_an_engine_that_is_installed(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_model("wear").suffix == ENGINES[next(iter(ENGINES))].suffix
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda package: package == "tflite_runtime" or None
    )
    assert find_model("wear") == models / "wear" / "wear-16x8.tflite"


def test_the_users_folder_comes_before_the_others(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = released.model_folders()
    assert folders[0] == models
    assert Path(released.__file__).parent / "models" in folders
    checkout = Path(released.__file__).parents[2]
    assert (checkout / "models" in folders) == (checkout / "pyproject.toml").is_file()
    monkeypatch.delenv("NEUROAMP_MODELS")
    assert released.model_folders() == folders[1:]


def test_a_path_is_taken_as_it_is(models: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.onnx"
    path.write_bytes(b"")
    assert find_model(path, "onnx") == path
    with pytest.raises(NeuroampError, match=r"no model file .*other\.onnx"):
        find_model(tmp_path / "other.onnx")
    with pytest.raises(NeuroampError, match="no model file folder/wear"):
        find_model("folder/wear")


@pytest.mark.usefixtures("models")
def test_what_is_not_there_is_named_with_where_it_was_looked_for() -> None:
    with pytest.raises(NeuroampError, match=r"'hear' for the engine 'onnx' in .*NEUROAMP_MODELS"):
        find_model("hear", "onnx")
    with pytest.raises(NeuroampError, match="no engine 'gpu'; choose from native, onnx"):
        find_model("wear", "gpu")
