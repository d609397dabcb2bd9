"""Quantises a trained LSTM net for the C core and writes its model file, `.nam`.

Weights become int8 with one symmetric scale a row; the scale and the fixed-point formats of
`neuroamp.integer_net` meet in one 32-bit multiplier a row.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from neuroamp.audiogram import THRESHOLD_RANGE_DB_HL
from neuroamp.core_file import core_file
from neuroamp.errors import NeuroampError
from neuroamp.features import AUDIOGRAM_SPAN_DB
from neuroamp.integer_net import (
    FEATURE_BITS,
    GATE_BITS,
    HIDDEN_BITS,
    MAX_BIAS,
    MAX_COLUMNS,
    MAX_MULTIPLIER,
    MULTIPLIER_BITS,
    IntegerMatrix,
    IntegerWeights,
)
from neuroamp.model_file import ModelInfo
from neuroamp.profile import Profile
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

INT8_MAX = 127
QUANTISATION = "int8 weights, int16 activations"


@dataclasses.dataclass(frozen=True)
class FloatLayer:
    """One LSTM layer: [4 width, inputs], [4 width, width], [4 width]; gates i, f, g, o."""

    input_weight: Floats
    recurrent_weight: Floats
    bias: Floats


@dataclasses.dataclass(frozen=True)
class FloatWeights:
    """A trained net as arrays, in the layout of `neuroamp_host.networks.lstm.LstmNet`.

    Attributes:
        audiogram_weight, audiogram_bias: [units, 6], [units].
        layers: the first takes the features and then the listener units.
        output_weight, output_bias: [features, width], [features].
    """

    audiogram_weight: Floats
    audiogram_bias: Floats
    layers: tuple[FloatLayer, ...]
    output_weight: Floats
    output_bias: Floats

    @classmethod
    def from_state_dict(cls, state: Mapping[str, ArrayLike]) -> FloatWeights:
        """From the arrays by the names that `LstmNet.state_dict()` gives them."""
        arrays = {name: np.asarray(value, dtype=np.float64) for name, value in state.items()}
        count = sum(name.endswith(".recurrent_weight") for name in arrays)
        layers = tuple(
            FloatLayer(
                *(arrays[f"layers.{i}.{part.name}"] for part in dataclasses.fields(FloatLayer))
            )
            for i in range(count)
        )
        return cls(
            arrays["audiogram_layer.weight"],
            arrays["audiogram_layer.bias"],
            layers,
            arrays["output_layer.weight"],
            arrays["output_layer.bias"],
        )


def quantise(weights: FloatWeights, features: int) -> IntegerWeights:
    """The net in integers; `features` is the length of its spectral input.

    Raises:
        NeuroampError: a weight or bias is too large, or a row too long, for the core's formats.
    """
    first, *rest = weights.layers
    # The listener units keep to their format's range whoever listens: a ReLU may be scaled
    # if what it feeds is scaled back.
    shrink = _listener_scale(weights)
    audiogram = _matrix(
        weights.audiogram_weight * shrink[:, None],
        FEATURE_BITS,
        weights.audiogram_bias * shrink,
    )
    listener = _matrix(first.input_weight[:, features:] / shrink, FEATURE_BITS)
    inputs = [_matrix(first.input_weight[:, :features], FEATURE_BITS, first.bias)]
    inputs += [_matrix(layer.input_weight, HIDDEN_BITS, layer.bias) for layer in rest]
    recurrents = [_matrix(layer.recurrent_weight, HIDDEN_BITS) for layer in weights.layers]
    output = _matrix(weights.output_weight, HIDDEN_BITS, weights.output_bias)
    return IntegerWeights(audiogram, listener, tuple(inputs), tuple(recurrents), output)


def write_core_model(
    path: str | Path, name: str, net: str, profile: Profile, weights: FloatWeights
) -> IntegerWeights:
    """Writes a trained net as a `.nam` file; returns the net in integers.

    Args:
        path: the file to write.
        name, net: the model's and the architecture's name, for the record.
        profile: what the net was trained for.
        weights: the trained net.

    Raises:
        NeuroampError: as `quantise`.
    """
    integers = quantise(weights, profile.feature_count)
    states = {
        f"{kind}{layer}": (1, width)
        for layer, width in enumerate(integers.widths)
        for kind in ("hidden", "cell")
    }
    info = ModelInfo(name, net, profile, states, QUANTISATION)
    Path(path).write_bytes(core_file(info, integers))
    return integers


def _listener_scale(weights: FloatWeights) -> Floats:
    low, high = (bound / AUDIOGRAM_SPAN_DB for bound in THRESHOLD_RANGE_DB_HL)
    matrix = weights.audiogram_weight
    largest = np.maximum(matrix * low, matrix * high).sum(axis=1) + weights.audiogram_bias
    limit = 0.999 * 2.0 ** (15 - FEATURE_BITS)
    return np.minimum(1.0, limit / np.maximum(largest, limit))


def _matrix(weight: Floats, input_bits: int, bias: Floats | None = None) -> IntegerMatrix:
    if weight.shape[1] > MAX_COLUMNS:
        raise NeuroampError(
            f"a layer has {weight.shape[1]} inputs but the core takes at most {MAX_COLUMNS}; "
            "train a narrower net or export it as .onnx or .tflite."
        )
    scale = np.abs(weight).max(axis=1) / INT8_MAX
    quantised = np.rint(weight / np.where(scale > 0.0, scale, 1.0)[:, None])
    multipliers = np.rint(scale * 2.0 ** (GATE_BITS - input_bits + MULTIPLIER_BITS))
    in_gate_format = np.zeros(1) if bias is None else np.rint(bias * 2.0**GATE_BITS)
    if multipliers.max() > MAX_MULTIPLIER or np.abs(in_gate_format).max() > MAX_BIAS:
        raise NeuroampError(
            f"the net has a weight of {np.abs(weight).max():.3g} or a bias too large for the "
            "core's fixed-point formats; train it with weight decay."
        )
    return IntegerMatrix(
        quantised.astype(np.int8),
        multipliers.astype(np.int32),
        None if bias is None else in_gate_format.astype(np.int32),
    )
