"""Model files: what a file says about itself, and whether it is whole.

One JSON object, `neuroamp.json`, makes a model file enough to run:

    {"format": "neuroamp-model", "format_version": 1, "name": ..., "net": ...,
     "profile": {...}, "states": {"hidden0": [1, 128], ...}, "quantisation": "int8",
     "level_reference": "0 dB SPL = 20 uPa", "sha256": "..."}

In a .tflite file it is the one member of a ZIP archive appended to the flatbuffer, as TensorFlow
Lite's metadata convention has it for associated files; `sha256` is that of the flatbuffer. In an
.onnx file it is the metadata property `neuroamp`; `sha256` is that of the whole file with the
digest itself written as 64 zeros, and may be left out.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

from neuroamp.errors import NeuroampError
from neuroamp.profile import Profile

FORMAT = "neuroamp-model"
FORMAT_VERSION = 1
METADATA_KEY = "neuroamp"
METADATA_MEMBER = "neuroamp.json"
LEVEL_REFERENCE = "0 dB SPL = 20 uPa"
UNSEALED = "0" * 64
"""Stands in an .onnx file's metadata for the digest while the digest is computed."""

MAX_STATE_WIDTH = 65536
TFLITE_IDENTIFIER = b"TFL3"
"""File identifier of the TensorFlow Lite schema, at bytes 4 to 8 of the flatbuffer."""


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """What a model file says about itself.

    Attributes:
        name: the model's name, such as 'wear'.
        net: the architecture, such as 'paper-lstm'.
        profile: rate, windows, features and output the net was trained for.
        states: names and shapes, (1, width), of the recurrent states, in the graph's order.
        quantisation: 'float32', 'int8', '16x8' or another scheme's name, for the record.
    """

    name: str
    net: str
    profile: Profile
    states: dict[str, tuple[int, int]]
    quantisation: str

    def to_json(self, sha256: str = "") -> str:
        """The metadata object as JSON; `sha256` is the digest of the payload, in hex."""
        data: dict[str, Any] = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "name": self.name,
            "net": self.net,
            "profile": self.profile.to_dict(),
            "states": {name: list(shape) for name, shape in self.states.items()},
            "quantisation": self.quantisation,
            "level_reference": LEVEL_REFERENCE,
        }
        return json.dumps({**data, "sha256": sha256} if sha256 else data)


def read_model_info(path: str | Path) -> ModelInfo:
    """What the model file at `path` says about itself, after checking that it is whole.

    Raises:
        NeuroampError: no such file, neither .onnx nor .tflite nor .nam, truncated, damaged, not
            a model of this project, or of another format version; or onnxruntime is not
            installed.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".tflite":
        return read_tflite(path)[0]
    if suffix == ".onnx":
        from neuroamp.engines.onnx import open_session

        return open_session(path)[1]
    if suffix == ".nam":
        from neuroamp.core_file import read_core_file

        return read_core_file(path)[0]
    raise NeuroampError(
        f"{path} ends in {suffix or 'no suffix'!r} but a model file ends in .onnx or .tflite "
        "or .nam; name a model file."
    )


def read_bytes(path: str | Path) -> bytes:
    """The whole file at `path`.

    Raises:
        NeuroampError: it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise NeuroampError(
            f"the model file {path} cannot be read ({reason}); check the path."
        ) from None


def append_tflite_metadata(flatbuffer: bytes, info: ModelInfo) -> bytes:
    """A whole .tflite file: the flatbuffer with its metadata archive behind it."""
    digest = hashlib.sha256(flatbuffer).hexdigest()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as members:
        # A fixed time keeps the file the same from one export to the next.
        member = zipfile.ZipInfo(METADATA_MEMBER, date_time=(1980, 1, 1, 0, 0, 0))
        members.writestr(member, info.to_json(digest))
    return flatbuffer + archive.getvalue()


def read_tflite(path: str | Path) -> tuple[ModelInfo, bytes]:
    """Metadata and flatbuffer of a .tflite file whose digest is right.

    Raises:
        NeuroampError: as `read_model_info`.
    """
    data = read_bytes(path)
    if data[4:8] != TFLITE_IDENTIFIER:
        raise NeuroampError(
            f"{path} is not a TFLite model (expected the identifier TFL3 at byte 4, found "
            f"{data[4:8]!r}); give a file that `neuroamp export` wrote."
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as members:
            text = members.read(METADATA_MEMBER)
            flatbuffer = data[: members.getinfo(METADATA_MEMBER).header_offset]
    except Exception:  # zipfile raises half a dozen kinds on damaged archives
        raise NeuroampError(
            f"{path} ({len(data)} bytes) has no whole {METADATA_MEMBER} at its end: it is "
            "truncated, damaged or not from this project; copy or export it again."
        ) from None
    info, expected = parse_metadata(text, path)
    check_digest(path, expected, hashlib.sha256(flatbuffer).hexdigest())
    return info, flatbuffer


def seal_onnx(model: bytes) -> bytes:
    """An .onnx file with its digest in place of the 64 zeros its metadata was written with.

    Raises:
        NeuroampError: the metadata has no such placeholder (`ModelInfo.to_json(UNSEALED)`).
    """
    if model.count(UNSEALED.encode()) != 1:
        raise NeuroampError("the model's metadata has no place for a digest; export it again.")
    return model.replace(UNSEALED.encode(), hashlib.sha256(model).hexdigest().encode())


def onnx_digest(model: bytes, digest: str) -> str:
    """The digest an .onnx file should state, given the one it states."""
    unsealed = model.replace(digest.encode(), UNSEALED.encode())
    return hashlib.sha256(unsealed).hexdigest()


def check_digest(path: str | Path, stated: str, actual: str) -> None:
    """Refuses a file whose digest is not the one it states."""
    if stated != actual:
        raise NeuroampError(
            f"{path} is damaged (its SHA-256 should start with {stated[:12]!r} but starts with "
            f"{actual[:12]!r}); copy or export it again."
        )


def parse_metadata(text: str | bytes, source: str | Path) -> tuple[ModelInfo, str]:
    """The metadata object and the digest it states ('' if none); `source` is for messages.

    Raises:
        NeuroampError: not JSON, another format or version, or a key that is missing or wrong.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NeuroampError(
            f"the metadata of {source} is not JSON ({error}); export the model again."
        ) from None
    found = (data.get("format"), data.get("format_version")) if isinstance(data, dict) else None
    if found != (FORMAT, FORMAT_VERSION):
        raise NeuroampError(
            f"{source} has the format {found!r} but this release reads "
            f"{(FORMAT, FORMAT_VERSION)!r}; export the model again with this release."
        )
    names = [data.get(key) for key in ("name", "net", "quantisation")]
    states, digest = data.get("states"), data.get("sha256", "")
    if not all(isinstance(value, str) for value in [*names, digest]) or not _is_states(states):
        raise NeuroampError(
            f"the metadata of {source} needs text as name, net, quantisation and sha256 and "
            "shapes [1, width] as states; export the model again."
        )
    name, net, quantisation = names
    profile = Profile.from_dict(data.get("profile"))
    shapes = {state: (shape[0], shape[1]) for state, shape in states.items()}
    return ModelInfo(name, net, profile, shapes, quantisation), digest


def _is_states(states: object) -> bool:
    return isinstance(states, dict) and all(
        isinstance(shape, list)
        and len(shape) == 2
        and all(type(size) is int for size in shape)
        and shape[0] == 1
        and 1 <= shape[1] <= MAX_STATE_WIDTH
        for shape in states.values()
    )
