"""Settings of all tests, and a sound server without hardware."""

from __future__ import annotations

import dataclasses
import importlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from neuroamp.engines.native import library_path

# No test judges wall-clock time, a property-based one included: the machine may be busy.
hypothesis.settings.register_profile("neuroamp", deadline=None)
hypothesis.settings.load_profile("neuroamp")


@dataclasses.dataclass(frozen=True)
class JackServer:
    """A JACK server whose driver is none: its process, and what its clients need to find it."""

    process: subprocess.Popen[bytes]
    environment: dict[str, str]


StartServer = Callable[[int, int], JackServer]


@pytest.fixture
def start_jack(tmp_path: Path) -> Iterator[StartServer]:
    """Starts a server of its own at a sample rate, with a period of so many frames.

    PortAudio in a process that lost its server cannot be used again: use it in a process of its
    own, with the server's environment. Where the machine lets no server start (it keeps its shared
    memory from it, say), the test is skipped with the server's last words.
    """
    if shutil.which("jackd") is None:
        pytest.skip("needs a JACK server (jackd2)")
    for module in ("sounddevice", "jack"):
        try:
            importlib.import_module(module)
        except (ImportError, OSError) as error:
            pytest.skip(f"needs {module}: {error}")
    if library_path() is None:
        pytest.skip("the native engine was not built: no C compiler")
    servers: list[JackServer] = []

    def start(rate_hz: int, period: int) -> JackServer:
        name = f"neuroamp-{os.getpid()}-{len(servers)}"
        environment = {
            **os.environ,
            "JACK_DEFAULT_SERVER": name,
            "JACK_NO_START_SERVER": "1",
            "JACK_NO_AUDIO_RESERVATION": "1",
        }
        # Each port takes 33 kB of shared memory, of which a container has little.
        options = ["--no-realtime", "--no-mlock", "--sync", "--port-max", "32", "-n", name]
        words = tmp_path / f"{name}.log"
        with words.open("wb") as log:
            process = subprocess.Popen(
                ["jackd", *options, "-d", "dummy", "-r", str(rate_hz), "-p", str(period)],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        server = JackServer(process, environment)
        servers.append(server)
        ask = "import jack; jack.Client('waiting', no_start_server=True).close()"
        end_s = time.monotonic() + 60.0
        while subprocess.run(
            [sys.executable, "-c", ask], env=environment, capture_output=True
        ).returncode:
            if process.poll() is not None:
                last = " / ".join(words.read_text(errors="replace").splitlines()[-4:])
                pytest.skip(f"the JACK server ended by itself ({process.returncode}): {last}")
            assert time.monotonic() < end_s, "the JACK server does not answer"
        return server

    yield start
    for server in servers:
        server.process.terminate()
        try:
            server.process.wait(30)
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait()
