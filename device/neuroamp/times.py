"""How long each stage of a frame takes, in histograms whose buckets grow with the time.

The layout is the core's (`device/core/src/stats.c`): the same buckets, the same percentiles, so
that numbers from a board, a Raspberry Pi and a laptop, of any engine, can be laid side by side.
Ticks are of any clock; `time.perf_counter_ns` and the core's own clock count nanoseconds.
"""

from __future__ import annotations

import dataclasses
import enum
import time
from collections.abc import Callable, Sequence

BUCKETS = 256
EXACT = 8
"""Times below so many ticks have a bucket each; above, an octave has as many buckets."""


class Stage(enum.Enum):
    """The stages of a frame, in the core's order; the gains include the net."""

    ANALYSIS = 0
    GAINS = 1
    NET = 2
    SYNTHESIS = 3
    LIMITER = 4
    FRAME = 5


def bucket_of(ticks: int) -> int:
    """The bucket that counts a time of `ticks` >= 0."""
    if ticks < EXACT:
        return ticks
    octave = ticks.bit_length() - EXACT.bit_length()
    return min(EXACT * (octave + 1) + (ticks >> octave) - EXACT, BUCKETS - 1)


def bucket_start(bucket: int) -> int:
    """The least time, in ticks, that `bucket` counts."""
    if bucket < EXACT:
        return bucket
    octave, step = divmod(bucket - EXACT, EXACT)
    return (EXACT + step) << octave


@dataclasses.dataclass
class Times:
    """Times of one stage, in ticks; as `neuroamp_times` of the core.

    Attributes:
        count, total, max: of the times.
        deadline_misses: how many were above the deadline.
        histogram: counts by bucket; bucket b counts from `bucket_start(b)` to the next one's start.
    """

    count: int = 0
    total: int = 0
    max: int = 0
    deadline_misses: int = 0
    histogram: list[int] = dataclasses.field(default_factory=lambda: [0] * BUCKETS)

    def add(self, ticks: int, deadline: int | None = None) -> None:
        """Counts one time; above `deadline` it is a miss."""
        self.count += 1
        self.total += ticks
        self.max = max(self.max, ticks)
        self.histogram[bucket_of(ticks)] += 1
        if deadline is not None and ticks > deadline:
            self.deadline_misses += 1

    @property
    def mean(self) -> float:
        """Mean time, ticks; 0 before the first."""
        return self.total / self.count if self.count else 0.0

    def percentile(self, fraction: float) -> int:
        """Ticks that the share `fraction` (0..1) of the times did not exceed.

        Exact to a bucket, an eighth of an octave, rounded up; never above the longest time.
        """
        seen = 0
        for bucket, count in enumerate(self.histogram[:-1]):
            seen += count
            if seen > 0 and seen >= fraction * self.count:
                return min(bucket_start(bucket + 1) - 1, self.max)
        return self.max


class StageTimes:
    """Times of all stages of a chain in Python; costs next to nothing until it has a clock."""

    def __init__(self) -> None:
        self._clock: Callable[[], int] | None = None
        self._deadline = 0
        self.reset()

    def reset(self) -> None:
        """Forgets the times; clock and deadline stay."""
        self.times = {stage: Times() for stage in Stage}

    def set_clock(self, deadline: int, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        """Times every stage from now on; a frame longer than `deadline` ticks is a miss."""
        self._clock, self._deadline = clock, deadline

    def now(self) -> int:
        """Now, in ticks; 0 without a clock."""
        return 0 if self._clock is None else self._clock()

    def count(self, stage: Stage, start: int) -> int:
        """Counts the time since `start` for a stage; returns now."""
        if self._clock is None:
            return 0
        now = self._clock()
        self.times[stage].add(now - start, self._deadline if stage is Stage.FRAME else None)
        return now


def merged(parts: Sequence[Times]) -> Times:
    """The times of several ears or runs as one."""
    return Times(
        count=sum(part.count for part in parts),
        total=sum(part.total for part in parts),
        max=max((part.max for part in parts), default=0),
        deadline_misses=sum(part.deadline_misses for part in parts),
        histogram=[sum(counts) for counts in zip(*(part.histogram for part in parts), strict=True)],
    )
