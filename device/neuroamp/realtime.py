"""What a process does so that nothing holds up its sound: memory that stays, no garbage collection.

The audio thread's own priority is set by the callback in C (`neuroamp.live`). Nothing here fails:
where the system does not allow something, a sentence says so and how to allow it.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Iterator

MCL_CURRENT, MCL_FUTURE = 1, 2
SWITCH_INTERVAL_S = 0.0005
"""After which a thread of Python gives way to the audio's; Python's own default is ten times it."""


def lock_memory() -> str:
    """Keeps all memory of this process from being swapped out; says in a sentence if it may not."""
    try:
        import resource
    except ImportError:  # Windows
        return "memory is not locked: this system has no such call"
    memlock = getattr(resource, "RLIMIT_MEMLOCK", None)
    limit = resource.RLIM_INFINITY if memlock is None else resource.getrlimit(memlock)[0]
    if limit != resource.RLIM_INFINITY and os.geteuid() != 0:
        # To lock what is still to come under a limit would make later allocations fail.
        return (
            f"memory is not locked: this user may lock {limit // 1024} KiB; allow it with a line "
            "'@audio - memlock unlimited' in /etc/security/limits.d/audio.conf, and log in again"
        )
    try:
        import ctypes

        failed = ctypes.CDLL(None, use_errno=True).mlockall(MCL_CURRENT | MCL_FUTURE)
        reason = os.strerror(ctypes.get_errno())
    except (OSError, AttributeError) as error:
        failed, reason = 1, str(error)
    return f"memory is not locked: {reason}" if failed else ""


@contextlib.contextmanager
def python_in_the_audio_thread() -> Iterator[None]:
    """While an engine in Python runs in the audio thread: no pauses for garbage, quick switches."""
    interval = sys.getswitchinterval()
    gc.collect()
    gc.freeze()
    gc.disable()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        gc.enable()
        gc.unfreeze()
