"""The live loop: on a JACK server without hardware, and on a sound device that misbehaves."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from neuroamp import sound_devices
from neuroamp.aid import Aid
from neuroamp.audiogram import Ear, bisgaard
from neuroamp.engines.native import library_path
from neuroamp.errors import NeuroampError
from neuroamp.link.codes import Output
from neuroamp.live import RESTARTS, SILENT_S, Live, LiveSetup, load_hosted
from neuroamp_host.prescription.fit import make_fitting

from .conftest import TinyNet

HERE = Path(__file__).parent
PROGRAM = HERE / "jack_program.py"

needs_core = pytest.mark.skipif(
    library_path() is None, reason="the native engine was not built: no C compiler"
)


def on_jack(start_jack: Callable[..., Any], what: str, rate_hz: int, period: int) -> Any:
    server = start_jack(rate_hz, period)
    run = subprocess.run(
        [sys.executable, str(PROGRAM), what, str(rate_hz), str(period)],
        env=server.environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    report = json.loads(run.stdout.splitlines()[-1])
    assert report["got"] >= report["samples"]
    return report


@pytest.mark.parametrize(("rate_hz", "period"), [(16000, 32), (48000, 96)])
def test_the_live_output_is_the_offline_output_bit_for_bit(
    start_jack: Callable[..., Any], rate_hz: int, period: int
) -> None:
    report = on_jack(start_jack, "bit-exact", rate_hz, period)
    assert report["is_equal"]
    assert report["loudest"] > 0.0


@pytest.mark.parametrize(("rate_hz", "period"), [(16000, 32), (16000, 50), (48000, 96)])
def test_the_delay_through_the_loop_is_the_promised_one(
    start_jack: Callable[..., Any],
    rate_hz: int,
    period: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = on_jack(start_jack, "delay", rate_hz, period)
    promised = report["promised_samples"]
    with capsys.disabled():
        print(
            f"\n{rate_hz} Hz, blocks of {period}: measured {report['measured_samples']} samples, "
            f"promised {promised}; with the server's buffers {report['total_ms']:.2f} ms"
        )
    assert report["measured_samples"] == [promised, promised]


def test_what_is_no_number_does_not_reach_the_receiver(start_jack: Callable[..., Any]) -> None:
    report = on_jack(start_jack, "nan", 16000, 32)
    assert report["is_finite"]
    assert report["non_finite"] > 0


class FakeStream:
    """A sound device that calls back only when a test says so."""

    latency = (0.002, 0.002)

    def __init__(self, channels: tuple[int, int], block: int, callback: int, stream: int) -> None:
        self.ffi, _ = load_hosted()
        self.channels, self.block = channels, block
        kind = "int(*)(const void *, void *, unsigned long, const void *, unsigned long, void *)"
        self.callback = self.ffi.cast(kind, callback)
        self.stream = self.ffi.cast("void *", stream)
        self.is_started = self.is_closed = False

    def start(self) -> None:
        self.is_started = True

    def close(self) -> None:
        self.is_closed = True

    def call(self, sound: np.ndarray | None, flags: int = 0) -> np.ndarray:
        """One callback; sound [block, channels] or none."""
        out = np.full((self.block, self.channels[1]), np.nan, dtype=np.float32)
        given = self.ffi.NULL if sound is None else self.ffi.from_buffer(np.float32(sound))
        target = self.ffi.from_buffer(out, require_writable=True)
        assert self.callback(given, target, self.block, self.ffi.NULL, flags, self.stream) == 0
        return out


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> list[FakeStream]:
    """What the loop has opened, first to last; time is the test's own."""
    monkeypatch.setattr(sound_devices, "channels_of", lambda device, kind: 2)
    monkeypatch.setattr(sound_devices, "look_again", lambda: None)
    monkeypatch.setattr(sound_devices, "leave_as_it_is", lambda: None)
    monkeypatch.setattr("neuroamp.live.lock_memory", lambda: "")  # not the tests' own
    return []


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("neuroamp.live.time", made)
    return made


def a_live(streams: list[FakeStream], said: list[str], **changes: Any) -> Live:
    aid = Aid(None, [make_fitting(bisgaard("N3"), ear) for ear in Ear])

    def opened(
        devices: Any, channels: Any, rate: int, block: int, latency: float, *pointers: int
    ) -> FakeStream:
        streams.append(FakeStream(channels, block, *pointers))
        return streams[-1]

    aid = changes.pop("aid", aid)
    return Live(aid, LiveSetup(priority=0, **changes), say=said.append, open_stream=opened)


def heard(live: Live, rms: float = 0.001) -> np.ndarray:
    return rms * np.random.default_rng(0).standard_normal((live.block, 2))


@needs_core
def test_a_stream_that_stops_calling_is_opened_again_and_fades_in(
    streams: list[FakeStream], clock: Clock
) -> None:
    said: list[str] = []
    live = a_live(streams, said)
    with live:
        for _ in range(1000):
            sounding = streams[0].call(heard(live))
        live.poll()
        clock.now_s += 0.9 * SILENT_S
        live.poll()
        assert len(streams) == 1
        clock.now_s += 0.2 * SILENT_S
        live.poll()
        assert [stream.is_closed for stream in streams] == [True, False]
        assert streams[1].is_started
        assert any("opened again" in text for text in said)
        assert live.report.restarts == 1
        assert np.abs(streams[1].call(heard(live))).max() < 0.1 * np.abs(sounding).max()
        for _ in range(1000):
            again = streams[1].call(heard(live))
        assert np.abs(again).max() > 0.3 * np.abs(sounding).max()
    assert all(stream.is_closed for stream in streams)


@needs_core
def test_a_device_that_stays_away_is_lost_in_one_sentence(
    streams: list[FakeStream], clock: Clock
) -> None:
    live = a_live(streams, [])
    live.start()
    for _ in range(RESTARTS):
        clock.now_s += 2 * SILENT_S
        live.poll()
    clock.now_s += 2 * SILENT_S
    with pytest.raises(NeuroampError, match="the sound device is lost"):
        live.poll()
    assert all(stream.is_closed for stream in streams)
    assert len(streams) == RESTARTS + 1


@needs_core
def test_an_end_fades_out_before_the_device_is_closed(streams: list[FakeStream]) -> None:
    live = a_live(streams, [])
    live.start()
    for _ in range(1000):
        streams[0].call(heard(live))
    heard_while_ending: list[float] = []
    closing = streams[0].close

    def close() -> None:
        heard_while_ending.extend(np.abs(streams[0].call(heard(live))).max() for _ in range(40))
        closing()

    streams[0].close = close  # type: ignore[method-assign]
    live.stop()
    assert heard_while_ending[0] > 0.0
    assert heard_while_ending[-1] == 0.0
    assert live.aid.output() is Output.SOUNDS


@needs_core
def test_no_input_and_no_stream_are_silence(streams: list[FakeStream]) -> None:
    live = a_live(streams, [])
    with live:
        assert not np.any(streams[0].call(None))
        _, library = load_hosted()
        streams[0].stream = streams[0].ffi.NULL
        out = np.zeros((live.block, 2), dtype=np.float32)
        target = streams[0].ffi.from_buffer(out, require_writable=True)
        null = streams[0].ffi.NULL
        assert library.neuroamp_stream_callback(null, target, live.block, null, 0, null) == 0
        assert library.neuroamp_stream_callback(target, null, live.block, null, 0, null) == 0


@needs_core
def test_an_engine_that_raises_ends_the_sound(streams: list[FakeStream]) -> None:
    class Broken(TinyNet):
        is_broken = False

        def step(self, features: np.ndarray, audiogram: np.ndarray) -> Any:
            if self.is_broken:
                raise RuntimeError("out of order")
            return super().step(features, audiogram)

    broken = Broken()
    aid = Aid(None, [make_fitting(bisgaard("N3"), Ear.LEFT)], (), {Ear.LEFT: broken})
    live = a_live(streams, [], aid=aid, deadline_s=float("inf"))
    live.start()
    streams[0].call(heard(live))
    live.poll()
    broken.is_broken = True
    out = [streams[0].call(heard(live)) for _ in range(4)]
    assert np.all(np.isfinite(out))
    with pytest.raises(NeuroampError, match=r"RuntimeError \(out of order\) and the sound was end"):
        live.poll()
    assert streams[0].is_closed


@needs_core
def test_gaps_are_counted_and_leave_the_net_out(streams: list[FakeStream]) -> None:
    live = a_live(streams, [])
    with live:
        for flags in (1, 2, 4, 4 | 1, 16):
            streams[0].call(heard(live), flags)
        assert (live.report.input_gaps, live.report.output_gaps) == (3, 2)
        assert live.aid.report(Ear.LEFT).is_net_paused


@needs_core
@pytest.mark.parametrize("channels", [1, 2])
def test_one_ear_hears_and_sounds_where_its_channel_is(
    streams: list[FakeStream], monkeypatch: pytest.MonkeyPatch, channels: int
) -> None:
    monkeypatch.setattr(sound_devices, "channels_of", lambda device, kind: channels)
    aid = Aid(None, [make_fitting(bisgaard("N3"), Ear.RIGHT)])
    live = a_live(streams, [], aid=aid)
    with live:
        for _ in range(1000):
            sound = np.zeros((live.block, channels))
            sound[:, -1] = heard(live)[:, 0]
            out = streams[0].call(sound)
    assert np.any(out[:, -1])
    if channels == 2:
        assert not np.any(out[:, 0])


@needs_core
def test_two_ears_need_two_channels(
    streams: list[FakeStream], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound_devices, "channels_of", lambda device, kind: 1)
    with pytest.raises(NeuroampError, match="two ears but the output device has one channel"):
        a_live(streams, [])
    with pytest.raises(NeuroampError, match="block is 0 frames"):
        a_live(streams, [], block=0)
    with pytest.raises(NeuroampError, match="rate is 44100 Hz"):
        a_live(streams, [], rate_hz=44100)


@needs_core
def test_the_delay_has_both_buffers_the_chain_and_the_resampler(streams: list[FakeStream]) -> None:
    live = a_live(streams, [], rate_hz=48000)
    with live:
        streams[0].call(heard(live))
        delay = live.delay
    assert live.block == 96
    assert delay.devices_s == pytest.approx(0.004)
    assert delay.chain_s == pytest.approx(0.002)
    assert delay.resampling_s == pytest.approx(52 / 48000)
    assert delay.total_s < 0.008
