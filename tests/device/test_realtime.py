"""What a process asks of the system for its sound, and what it says where it may not."""

from __future__ import annotations

import gc
import os
import sys

import pytest
from neuroamp.realtime import SWITCH_INTERVAL_S, lock_memory, python_in_the_audio_thread

resource = pytest.importorskip("resource")


def test_a_user_who_may_not_lock_memory_is_told_how_to_allow_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And nothing is locked: under a limit, later allocations would fail."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(resource, "getrlimit", lambda which: (8 * 2**20, 8 * 2**20))
    said = lock_memory()
    assert "this user may lock 8192 KiB" in said
    assert "memlock unlimited" in said


def test_python_in_the_audio_thread_pauses_for_nothing_and_only_as_long() -> None:
    interval = sys.getswitchinterval()
    with python_in_the_audio_thread():
        assert not gc.isenabled()
        assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL_S)
    assert gc.isenabled()
    assert sys.getswitchinterval() == interval
