"""How wide the hidden states must be: 8 or 16 bits, against the float net, on real sound.

    python tools/measure_state_width.py MODEL-float32.onnx MODEL.nam [SPEECH_AND_NOISE.wav]

Both integer nets have the same int8 weights; they differ in the hidden states, and in the features
and listener units, that enter the next product. Prints the SNR of the net's output against the
float net's and, for a net of band gains, the error of the gain in dB, early and late.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import soundfile
from neuroamp.core_file import read_core_weights
from neuroamp.engines import open_engine
from neuroamp.features import Features, audiogram_input
from neuroamp.integer_net import IntegerNet, Integers
from neuroamp.transform import stft
from numpy.typing import NDArray

DEMO_AUDIO = Path(__file__).parent.parent / "host" / "neuroamp_host" / "demo_audio"
THRESHOLDS_DB_HL = (35.0, 35.0, 40.0, 50.0, 60.0, 65.0)
"""The standard audiogram N3 at the net's six points."""


class NarrowNet(IntegerNet):
    """The integer net with states and inputs of 8 bits, in the 16-bit formats' ranges."""

    def _step_layer(self, layer: int, value: Integers) -> Integers:
        if layer == 0:
            value = to_eight_bits(value)
        self.hidden[layer] = to_eight_bits(super()._step_layer(layer, value))
        return self.hidden[layer]


def to_eight_bits(value: Integers) -> Integers:
    """The nearest value that 8 bits hold: a multiple of 256."""
    return np.clip((value + 128) >> 8, -127, 127) << 8


def main() -> None:
    """Measures one model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("float_model", help="the net in float32, .onnx or .tflite")
    parser.add_argument("core_model", help="the same net as .nam")
    parser.add_argument("sound", nargs="?", help="by default the demo's speech in its noise")
    options = parser.parse_args()

    engine = open_engine(options.float_model)
    profile = engine.info.profile
    weights = read_core_weights(options.core_model)
    assert weights is not None, "the .nam file holds no net"
    spectra = stft(profile, heard(options.sound), every=profile.hops_per_step)
    features = Features(profile)(spectra).astype(np.float32)
    audiogram = audiogram_input(THRESHOLDS_DB_HL).astype(np.float32)
    wanted = np.array([engine.step(frame, audiogram) for frame in features], dtype=np.float64)
    is_gain = profile.output == "band-gain"
    for name, kind in (("16 bits", IntegerNet), ("8 bits", NarrowNet)):
        net = kind(weights, is_gain)
        net.set_audiogram(THRESHOLDS_DB_HL)
        error = np.array([net.step(frame) for frame in features], dtype=np.float64) - wanted
        report(name, wanted, error, (profile.gain_max_db - profile.gain_min_db) if is_gain else 0.0)


def heard(path: str | None) -> NDArray[np.float64]:
    """Sound in pascals, 65 dB SPL."""
    names = [path] if path else [DEMO_AUDIO / "speech.flac", DEMO_AUDIO / "noise.flac"]
    parts = [soundfile.read(name)[0] for name in names]
    length = min(part.shape[0] for part in parts)
    levelled = [part[:length] / np.sqrt(np.mean(part[:length] ** 2)) for part in parts]
    mixture: NDArray[np.float64] = np.sum(levelled, axis=0)
    return mixture * 20e-6 * 10 ** (65.0 / 20.0) / np.sqrt(np.mean(mixture**2))


def report(
    name: str, wanted: NDArray[np.float64], error: NDArray[np.float64], span_db: float
) -> None:
    """Prints one line: over all frames, and over the first and the last third."""
    third = len(error) // 3
    spans = {"all": slice(None), "first third": slice(third), "last third": slice(-third, None)}
    moving = wanted - wanted.mean()
    for when, span in spans.items():
        snr_db = 10 * np.log10(np.mean(moving[span] ** 2) / np.mean(error[span] ** 2))
        gain = f", gain error {span_db * np.sqrt(np.mean(error[span] ** 2)):.3f} dB RMS"
        print(f"hidden states of {name:8} {when:12} SNR {snr_db:5.1f} dB{gain if span_db else ''}")


if __name__ == "__main__":
    main()
