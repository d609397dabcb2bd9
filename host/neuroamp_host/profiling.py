"""What `neuroamp profile` reports: the times of every frame, as a table, as JSON, as a picture."""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from neuroamp import __version__
from neuroamp.chain import ChainStats, EarChain
from neuroamp.engines.native import NativeChain
from neuroamp.errors import NeuroampError
from neuroamp.live import LiveReport
from neuroamp.times import Stage, Times, bucket_start
from numpy.typing import NDArray

FORMAT_VERSION = 1
FRACTIONS = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
"""The percentiles that are reported, by name."""

STAGE_NAMES = {
    Stage.ANALYSIS: "analysis",
    Stage.GAINS: "gains, net included",
    Stage.NET: "net",
    Stage.SYNTHESIS: "synthesis",
    Stage.LIMITER: "limiter",
    Stage.FRAME: "whole frame",
}
WARM_UP_S = 1.0
"""Sound that is heard before the count begins, so that caches and compressor have settled."""


@dataclasses.dataclass(frozen=True)
class Report:
    """The times of a run and what they were measured on.

    Attributes:
        device: 'offline', 'live' or 'serial'.
        engine, kernel: what ran the net, and how it multiplied; empty where there is no choice.
        model: name and quantisation.
        profile: what is known of the model's: `name`, `sample_rate_hz` and `hop` at the least.
        times: of the stages, in ticks, of all ears together.
        ticks_per_second: of the clock; 1e9 for nanoseconds.
        deadline_ticks: a frame above it is a miss; None: the device's own, which it does not tell.
        stats: steps, missed steps and input samples that were no numbers, of all ears together.
        memory_bytes: by what takes it, as far as it is known.
        machine: where it ran.
        ears: how many there are.
        hops, late_hops: of a device that plays in real time: hops of all ears, and those that took
            longer than its deadline, after which it leaves the net out for a while.
        stream: what the live loop counted.
    """

    device: str
    engine: str
    kernel: str
    model: str
    profile: Mapping[str, Any]
    times: Mapping[Stage, Times]
    ticks_per_second: float
    deadline_ticks: int | None
    stats: ChainStats
    memory_bytes: Mapping[str, int]
    machine: Mapping[str, str]
    ears: int = 1
    hops: int | None = None
    late_hops: int | None = None
    stream: LiveReport | None = None

    @property
    def frames(self) -> int:
        """Number of frames that were timed."""
        return self.times[Stage.FRAME].count

    @property
    def sound_s(self) -> float:
        """How much sound the frames are, seconds; that of two ears lasts as long as that of one."""
        return self.frames * self.hop_s / self.ears

    @property
    def hop_s(self) -> float:
        """What a frame adds to the sound, seconds."""
        return float(self.profile["hop"] / self.profile["sample_rate_hz"])

    @property
    def real_time_factor(self) -> float:
        """Computing time of the frames of all ears by the time that the sound lasts."""
        seconds = self.times[Stage.FRAME].total / self.ticks_per_second
        return seconds / self.sound_s if self.frames else 0.0

    def microseconds(self, ticks: float) -> float:
        """A time of the report's clock in microseconds."""
        return 1e6 * ticks / self.ticks_per_second

    @property
    def deadline_us(self) -> float | None:
        """The deadline in microseconds, where it is known."""
        return None if self.deadline_ticks is None else self.microseconds(self.deadline_ticks)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON types; times are in microseconds."""
        return {
            "format_version": FORMAT_VERSION,
            "neuroamp_version": __version__,
            "device": self.device,
            "engine": self.engine,
            "kernel": self.kernel,
            "model": self.model,
            "profile": dict(self.profile),
            "ears": self.ears,
            "frames": self.frames,
            "sound_s": self.sound_s,
            "deadline_us": self.deadline_us,
            "deadline_misses": self.times[Stage.FRAME].deadline_misses,
            "real_time_factor": self.real_time_factor,
            "stages": {stage.name.lower(): self._stage(stage) for stage in Stage},
            "steps": self.stats.steps,
            "missed_steps": self.stats.missed_steps,
            "non_finite_samples": self.stats.non_finite_samples,
            "hops": self.hops,
            "late_hops": self.late_hops,
            "stream": None if self.stream is None else dataclasses.asdict(self.stream),
            "memory_bytes": dict(self.memory_bytes),
            "machine": dict(self.machine),
        }

    def _stage(self, stage: Stage) -> dict[str, Any]:
        times = self.times[stage]
        buckets = [
            [self.microseconds(bucket_start(bucket)), count]
            for bucket, count in enumerate(times.histogram)
            if count
        ]
        return {
            "count": times.count,
            "mean_us": self.microseconds(times.mean),
            **{
                f"{name}_us": self.microseconds(times.percentile(fraction))
                for name, fraction in FRACTIONS.items()
            },
            "max_us": self.microseconds(times.max),
            "histogram": buckets,
        }

    def lines(self) -> list[str]:
        """The report for people."""
        kernel = f", kernel {self.kernel}" if self.kernel else ""
        engine = [f"engine             {self.engine}{kernel}"] if self.engine else []
        header = f"{'stage, microseconds':22}{'count':>9}{'mean':>10}"
        rows = [header + "".join(f"{name:>10}" for name in [*FRACTIONS, "max"])]
        for stage, times in self.times.items():
            values = [
                times.mean,
                *(times.percentile(fraction) for fraction in FRACTIONS.values()),
                times.max,
            ]
            row = "".join(f"{self.microseconds(value):10.2f}" for value in values)
            rows.append(f"{STAGE_NAMES[stage]:22}{times.count:9d}{row}")
        misses = self.times[Stage.FRAME].deadline_misses
        memory = ", ".join(
            f"{what.replace('_', ' ')} {size / 1000:.1f} kB"
            for what, size in self.memory_bytes.items()
        )
        deadline = (
            "the device's own deadline"
            if self.deadline_us is None
            else f"{self.deadline_us:g} microseconds"
        )
        lines = [
            *rows,
            f"device             {self.device}: {', '.join(self.machine.values())}",
            *engine,
            f"model              {self.model}",
            f"frames             {self.frames} of {1e3 * self.hop_s:g} ms, {self.sound_s:.1f} s, "
            f"{'one ear' if self.ears == 1 else f'{self.ears} ears'}",
            f"deadline misses    {misses} (frames above {deadline})",
            f"missed net steps   {self.stats.missed_steps} of {self.stats.steps}",
            f"real-time factor   {self.real_time_factor:.5f}",
            f"memory             {memory or 'not told by the device'}",
        ]
        if self.stream is not None:
            lines += stream_lines(self.stream)
        if self.hops is not None:
            lines.append(f"late hops          {self.late_hops} of {self.hops}")
        return lines


def stream_lines(counts: LiveReport) -> list[str]:
    """What the live loop counted, for people."""
    real_time = f"SCHED_FIFO {counts.priority}" if counts.priority else "not real-time"
    return [
        f"callbacks          {counts.callbacks} of {counts.block} frames, longest "
        f"{1e3 * counts.longest_callback_s:.3f} ms, longest pause between two "
        f"{1e3 * counts.longest_pause_s:.3f} ms",
        f"audio thread       {real_time}",
        f"gaps               {counts.input_gaps} in the input, {counts.output_gaps} in the output",
        f"restarts           {counts.restarts}",
    ]


def this_machine() -> dict[str, str]:
    """Processor, operating system and Python that this process runs on."""
    return {
        "processor": processor_name(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"Python {platform.python_version()}",
    }


def processor_name() -> str:
    """The board's or the processor's own name, as far as the system tells it."""
    try:  # a Raspberry Pi says which one it is
        return Path("/proc/device-tree/model").read_text(encoding="utf-8").rstrip("\0\n")
    except OSError:
        pass
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def peak_memory_bytes() -> int:
    """The most memory that this process has had resident, bytes; 0 where the system hides it."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def run_offline(
    chain: NativeChain | EarChain,
    sound_pa: NDArray[np.float64],
    seconds: float,
    block: int,
    progress: Callable[[float], None],
) -> None:
    """Sound through the chain, as fast as it goes, every frame timed after a second of warm-up.

    Args:
        chain: at rest.
        sound_pa: pascals at the profile's rate, repeated for as long as it takes.
        seconds: length of what is timed.
        block: samples a call, as an audio device would deliver them.
        progress: is told the share that is done.
    """
    rate = chain.profile.sample_rate_hz
    chain.time_stages()
    for length_s, is_warm_up in ((WARM_UP_S, True), (seconds, False)):
        blocks = -(-round(length_s * rate) // block)
        repeated = np.resize(sound_pa, max(sound_pa.size, block) + block)
        # As the live loop does: no pause for collecting garbage in the middle of a frame.
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            start = 0
            for index in range(blocks):
                chain.process(repeated[start : start + block])
                start = (start + block) % (repeated.size - block)
                if not is_warm_up and index % 1000 == 0:
                    progress(index / blocks)
        finally:
            gc.enable()
            gc.unfreeze()
        if is_warm_up:
            chain.reset()
    progress(1.0)


def write_json(report: Report, path: Path) -> None:
    """Writes the report as JSON, whole or not at all.

    Raises:
        NeuroampError: the file cannot be written.
    """
    write_whole(path, (json.dumps(report.to_dict(), indent=1) + "\n").encode())


def write_png(report: Report, path: Path) -> None:
    """Draws the histograms of all stages and writes the picture, whole or not at all.

    Raises:
        NeuroampError: the file cannot be written.
    """
    import io

    import matplotlib

    matplotlib.use("Agg")
    from neuroamp_host.evaluation.figures import draw_times_figure

    stages = [stage for stage in Stage if report.times[stage].count]
    figure = draw_times_figure(
        {
            STAGE_NAMES[stage]: (
                [report.microseconds(bucket_start(b)) for b in range(len(times.histogram) + 1)],
                times.histogram,
                {
                    name: report.microseconds(times.percentile(fraction))
                    for name, fraction in FRACTIONS.items()
                },
                report.microseconds(times.max),
            )
            for stage, times in ((stage, report.times[stage]) for stage in stages)
        },
        report.deadline_us,
        f"{report.model}, {report.engine or report.device} {report.kernel}".rstrip(),
    )
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=130)
    write_whole(path, picture.getvalue())


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all.

    Raises:
        NeuroampError: it cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            part.write_bytes(content)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise NeuroampError(
            f"{path} cannot be written ({error.strerror}); check the folder's permissions and "
            "free space."
        ) from None


def check_target(path: Path | None) -> None:
    """Passes if a file can be written there, or none is wanted.

    Raises:
        NeuroampError: it is a folder, or in one that does not exist.
    """
    if path is not None and (path.is_dir() or not path.parent.is_dir()):
        what = "is a folder" if path.is_dir() else "is in a folder that does not exist"
        raise NeuroampError(
            f"the output {path} {what} but must be a file in an existing folder; give another path."
        )
