"""Model files: round trip, and that anything but a whole model is refused with a sentence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from neuroamp.engines import open_engine
from neuroamp.errors import NeuroampError
from neuroamp.model_file import (
    ModelInfo,
    append_tflite_metadata,
    parse_metadata,
    read_model_info,
    read_tflite,
    seal_onnx,
)
from neuroamp.profile import PROFILES

FLATBUFFER = b"\x1c\0\0\0TFL3" + bytes(range(200))
SHARED_FOLDER = settings(
    max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
INFOS = st.builds(
    ModelInfo,
    name=st.text(max_size=12),
    net=st.text(max_size=12),
    profile=st.sampled_from(sorted(PROFILES.values(), key=lambda profile: profile.name)),
    states=st.dictionaries(
        st.text(max_size=8), st.tuples(st.just(1), st.integers(1, 512)), max_size=4
    ),
    quantisation=st.text(max_size=8),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(info=INFOS)
@SHARED_FOLDER
def test_a_tflite_file_gives_back_its_metadata_and_flatbuffer(
    info: ModelInfo, tmp_path: Path
) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(append_tflite_metadata(FLATBUFFER, info))
    assert read_tflite(path) == (info, FLATBUFFER)
    assert read_model_info(path) == info


def test_metadata_does_not_change_from_one_export_to_the_next(tiny_net: Any) -> None:
    files = {append_tflite_metadata(FLATBUFFER, tiny_net.info) for _ in range(2)}
    assert len(files) == 1


def test_an_onnx_file_gives_back_its_metadata(
    make_onnx: Callable[..., Path], tiny_net: Any
) -> None:
    assert read_model_info(make_onnx()) == tiny_net.info
    unsealed = make_onnx(metadata=tiny_net.info.to_json())
    assert read_model_info(unsealed) == tiny_net.info


@given(data=st.data())
@SHARED_FOLDER
def test_a_tflite_file_cut_short_or_damaged_anywhere_is_refused(
    tiny_tflite: dict[str, Path], tmp_path: Path, data: st.DataObject
) -> None:
    whole = tiny_tflite["int8"].read_bytes()
    path = tmp_path / "model.tflite"
    at = data.draw(st.integers(0, len(whole) - 1))
    path.write_bytes(whole[:at])
    with pytest.raises(NeuroampError):
        read_model_info(path)
    flatbuffer_end = len(read_tflite(tiny_tflite["int8"])[1])
    at = data.draw(st.integers(0, flatbuffer_end - 1))
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
    with pytest.raises(NeuroampError):
        open_engine(path)


@given(data=st.data())
@SHARED_FOLDER
def test_an_onnx_file_cut_short_or_damaged_anywhere_is_refused(
    make_onnx: Callable[..., Path], tmp_path: Path, data: st.DataObject
) -> None:
    whole = make_onnx().read_bytes()
    path = tmp_path / "damaged.onnx"
    at = data.draw(st.integers(0, len(whole) - 1))
    path.write_bytes(whole[:at])
    with pytest.raises(NeuroampError):
        read_model_info(path)
    at = data.draw(st.integers(0, len(whole) - 1))
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
    with pytest.raises(NeuroampError):
        open_engine(path)


@given(content=st.binary(max_size=300), suffix=st.sampled_from([".tflite", ".onnx"]))
@SHARED_FOLDER
def test_any_other_bytes_are_refused(content: bytes, suffix: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    with pytest.raises(NeuroampError):
        read_model_info(path)


@given(text=st.text() | JSON.map(json.dumps))
@settings(max_examples=40)
def test_any_other_metadata_is_refused(text: str) -> None:
    with pytest.raises(NeuroampError):
        parse_metadata(text, "a file")


@given(info=INFOS, data=st.data(), value=JSON)
@settings(max_examples=40)
def test_metadata_with_a_changed_key_is_refused_or_sound(
    info: ModelInfo, data: st.DataObject, value: object
) -> None:
    metadata = json.loads(info.to_json())
    metadata[data.draw(st.sampled_from(sorted(metadata)))] = value
    try:
        read, _ = parse_metadata(json.dumps(metadata), "a file")
    except NeuroampError:
        return
    assert all(isinstance(text, str) for text in (read.name, read.net, read.quantisation))
    assert all(shape[0] == 1 and shape[1] >= 1 for shape in read.states.values())


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("model.pt", b"", r"ends in '\.pt' but .* \.onnx or \.tflite"),
        ("model", b"", r"'no suffix'"),
        ("model.tflite", b"RIFF\x24\0\0\0WAVE", r"identifier TFL3 .* found b'\$"),
        ("model.tflite", FLATBUFFER, r"no whole neuroamp\.json"),
        ("model.onnx", b"RIFF\x24\0\0\0WAVE", r"\(12 bytes\) is not a whole ONNX model"),
    ],
)
def test_what_is_no_model_is_refused_with_what_was_expected(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    if name.endswith(".onnx"):
        pytest.importorskip("onnxruntime")
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(NeuroampError, match=sentence):
        read_model_info(path)


@pytest.mark.parametrize("name", ["none.tflite", "none.onnx"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    if name.endswith(".onnx"):
        pytest.importorskip("onnxruntime")
    with pytest.raises(NeuroampError, match=rf"{name} cannot be read \(No such file"):
        read_model_info(tmp_path / name)


def test_a_version_from_the_future_is_refused_with_both(tiny_net: Any, tmp_path: Path) -> None:
    metadata = json.loads(tiny_net.info.to_json())
    metadata["format_version"] = 2
    with pytest.raises(NeuroampError, match=r"'neuroamp-model', 2\) but .*'neuroamp-model', 1\)"):
        parse_metadata(json.dumps(metadata), "a file")


def test_an_onnx_file_of_somebody_else_is_refused(make_onnx: Callable[..., Path]) -> None:
    with pytest.raises(NeuroampError, match="is not JSON"):
        read_model_info(make_onnx(metadata="somebody else's"))


def test_only_metadata_with_a_place_for_it_takes_a_digest(tiny_net: Any) -> None:
    with pytest.raises(NeuroampError, match="no place for a digest"):
        seal_onnx(tiny_net.info.to_json().encode())


def test_an_engine_refuses_the_other_engines_file(
    tiny_tflite: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(NeuroampError, match=r"'onnx' does not run .*float32\.tflite"):
        open_engine(tiny_tflite["float32"], "onnx")
    with pytest.raises(NeuroampError, match="'gpu' does not run"):
        open_engine(tiny_tflite["float32"], "gpu")
    shutil.copy(tiny_tflite["float32"], tmp_path / "model.bin")
    with pytest.raises(NeuroampError, match="'auto' does not run"):
        open_engine(tmp_path / "model.bin")
