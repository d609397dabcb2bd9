"""The live loop on a JACK server without hardware, as a program of its own: prints JSON.

    jack_program.py bit-exact RATE PERIOD     against the offline path, sample for sample
    jack_program.py delay RATE PERIOD         by correlation, and as the loop promises it
    jack_program.py nan RATE PERIOD           what comes out when no numbers come in

The server's name is in $JACK_DEFAULT_SERVER. Time does not run: the server freewheels.
"""

from __future__ import annotations

import json
import sys
import time

import jack
import numpy as np
from neuroamp import sound_devices
from neuroamp.aid import Aid
from neuroamp.audiogram import Ear, bisgaard
from neuroamp.engines.native import aligned_block, check_status
from neuroamp.link.records import Calibration
from neuroamp.live import Live, LiveSetup, load_hosted
from neuroamp.released import find_model
from neuroamp.resampling import lowpass
from neuroamp_host.prescription.fit import make_fitting

SECONDS = 2


class Loop:
    """A source, the aid and a sink, in one cycle of the server."""

    def __init__(self, rate_hz: int, period: int, heard: np.ndarray) -> None:
        self.heard, self.period = heard, period
        self.given = np.zeros_like(heard)
        self.live = Live(
            new_aid(), setup(rate_hz, period), say=lambda text: print(text, file=sys.stderr)
        )
        self.source = jack.Client("source", no_start_server=True)
        self.sink = jack.Client("sink", no_start_server=True)
        self.outs = [self.source.outports.register(ear.value) for ear in Ear]
        self.ins = [self.sink.inports.register(ear.value) for ear in Ear]
        self.is_going = False
        self.sent = self.got = 0
        self.silent_callbacks = 0
        self.first_sent = 0
        self.source.set_process_callback(self.send)
        self.sink.set_process_callback(self.take)

    def send(self, frames: int) -> None:
        part = self.heard[:, self.sent : self.sent + frames] if self.is_going else None
        for channel, port in enumerate(self.outs):
            buffer = port.get_array()
            buffer[:] = 0.0
            if part is not None:
                buffer[: part.shape[1]] = part[channel]
        if part is not None:
            if self.sent == 0:
                self.first_sent = self.source.last_frame_time
            self.sent += frames

    def take(self, frames: int) -> None:
        """What came in the cycle that the source began in, and later."""
        if self.sent == 0:
            return
        if self.got == 0:
            cycles = (self.sink.last_frame_time - self.first_sent) // self.period
            self.got = cycles * self.period
            self.silent_callbacks = self.live.report.callbacks - 1 - cycles
        room = self.given[:, self.got : self.got + frames]
        for channel, port in enumerate(self.ins):
            room[channel] = port.get_array()[: room.shape[1]]
        self.got += frames

    def run(self) -> None:
        with self.live, self.source, self.sink:
            aid_in = self.source.get_ports("PortAudio", is_input=True, is_audio=True)
            aid_out = self.source.get_ports("PortAudio", is_output=True, is_audio=True)
            for port in (*aid_in, *aid_out):
                for other in self.source.get_all_connections(port):
                    ends = (other, port) if port.is_input else (port, other)
                    self.source.disconnect(*ends)
            for channel in range(2):
                self.source.connect(self.outs[channel], aid_in[channel])
                self.source.connect(aid_out[channel], self.ins[channel])
            self.source.set_freewheel(True)
            end_s = time.monotonic() + 60
            self.is_going = True
            while self.got < self.heard.shape[1] and time.monotonic() < end_s:
                time.sleep(0.02)
            self.source.set_freewheel(False)


def new_aid() -> Aid:
    fittings = [
        make_fitting(bisgaard(name), ear) for name, ear in zip(("N2", "N4"), Ear, strict=True)
    ]
    calibrations = [Calibration(ear, 110.0, 110.0, 115.0) for ear in Ear]
    return Aid(find_model("wear", "native"), fittings, calibrations)


def setup(rate_hz: int, period: int) -> LiveSetup:
    return LiveSetup("system", "system", rate_hz, period, deadline_s=float("inf"), priority=0)


def offline(loop: Loop) -> np.ndarray:
    """The same sound through the same C callback, after as much silence as the aid had heard."""
    ffi, library = load_hosted()
    live, period = loop.live, loop.period
    aid = new_aid()
    aid.use_whole_hops(live.aid.is_whole_hops)
    values = {
        "aid": aid.pointer,
        "sample_rate_hz": live.rate_hz,
        "factor": live.factor,
        "block": live.block,
        "in_channels": 2,
        "out_channels": 2,
        "right_in": 1,
        "right_out": 1,
    }
    taps = lowpass(live.factor) if live.factor > 1 else None
    if taps is not None:
        values |= {"taps": taps.size, "filter": ffi.from_buffer("float[]", taps)}
    given = ffi.new("neuroamp_stream_setup *", values)
    size = library.neuroamp_stream_size(given)
    _block, memory = aligned_block(size)
    stream = ffi.new("neuroamp_stream **")
    check_status(library.neuroamp_stream_init(memory, size, given, stream))
    silence = np.zeros((loop.silent_callbacks * period, 2), dtype=np.float32)
    sound = np.concatenate([silence, loop.heard.T]).astype(np.float32)
    out = np.empty_like(sound)
    for start in range(0, len(sound), period):
        library.neuroamp_stream_callback(
            ffi.from_buffer(sound[start : start + period]),
            ffi.from_buffer(out[start : start + period], require_writable=True),
            period,
            ffi.NULL,
            0,
            stream[0],
        )
    return out[len(silence) :].T


def correlated(given: np.ndarray, heard: np.ndarray, longest: int) -> int:
    """The delay in samples at which the two are most alike."""
    found = [
        np.dot(given[longest:], heard[longest - lag : heard.size - lag]) for lag in range(longest)
    ]
    return int(np.argmax(np.abs(found)))


def main(what: str, rate_hz: int, period: int) -> None:
    samples = SECONDS * rate_hz // period * period
    rng = np.random.default_rng(0)
    heard = (0.003 * rng.standard_normal((2, samples))).astype(np.float32)
    if what == "nan":
        heard[:, ::37] = np.nan
        heard[:, 5::91] = np.inf
    loop = Loop(rate_hz, period, heard)
    loop.run()
    live, given = loop.live, loop.given
    delay_s = live.delay.chain_s + live.delay.resampling_s
    report = {
        "got": int(loop.got),
        "samples": samples,
        "is_finite": bool(np.all(np.isfinite(given))),
        "loudest": float(np.abs(given).max()),
        "promised_samples": round(delay_s * rate_hz),
        "total_ms": 1e3 * live.delay.total_s,
        "restarts": live.report.restarts,
        "non_finite": live.report.non_finite_samples
        + sum(live.aid.report(ear).stats.non_finite_samples for ear in Ear),
    }
    if what == "bit-exact":
        report["is_equal"] = bool(np.array_equal(given, offline(loop)))
    if what == "delay":
        report["measured_samples"] = [correlated(given[i], heard[i], 500) for i in range(2)]
    print(json.dumps(report))


if __name__ == "__main__":
    sound_devices.load_sounddevice()
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
