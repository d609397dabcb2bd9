"""From the first byte to a verified fitting on a line of so many baud: `neuroamp device` as it is.

    python tools/bench_link.py [--baud 115200] [--pushes 10]

A pseudo-terminal is as fast as memory; the proxy in between lets bytes through no faster than a
UART would. Every push is all of `neuroamp fit`: greeting, staging, reading back, a trial whose
gains have faded in, storing on the disk, reading back, and asking for the gains once more.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from neuroamp.audiogram import BISGAARD, Ear
from neuroamp.link.records import FittingRecord
from neuroamp_host.fitting.client import DeviceClient
from neuroamp_host.fitting.ports import DEFAULT_BAUD
from neuroamp_host.fitting.push import push
from neuroamp_host.prescription.fit import make_fitting
from serial_proxy import BadLine

PATIENCE_S = 60.0


def push_seconds(port: str, ears: list[Ear], pushes: int) -> list[float]:
    """Seconds of so many pushes, each of another audiogram."""
    seconds = []
    for number in range(pushes):
        audiogram = list(BISGAARD.values())[number % len(BISGAARD)]
        records = [
            FittingRecord(make_fitting(audiogram, ear), audiogram, version=number) for ear in ears
        ]
        records = [FittingRecord.decode(record.encode()) for record in records]
        started = time.perf_counter()
        with DeviceClient(port) as client:
            push(client, records)
        seconds.append(time.perf_counter() - started)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--baud", type=int, default=DEFAULT_BAUD, help="bits a second (default: %(default)d)"
    )
    parser.add_argument("--pushes", type=int, default=10, help="how many (default: 10)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "aid"
        command = [sys.executable, "-m", "neuroamp_host.cli", "device", "--port", f"pty:{path}"]
        command += ["--settings", str(Path(folder) / "settings")]
        device = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + PATIENCE_S
            while not path.exists() and time.monotonic() < deadline and device.poll() is None:
                time.sleep(0.05)
            with BadLine(str(path), Path(folder) / "line", baud=options.baud) as line:
                print(f"{options.baud} baud, {options.pushes} pushes each, seconds to verified:")
                for name, ears in (("one ear", [Ear.LEFT]), ("both ears", list(Ear))):
                    before = line.passed
                    seconds = push_seconds(str(line.path), ears, options.pushes)
                    count = (line.passed - before) // options.pushes
                    print(
                        f"{name:12} median {statistics.median(seconds):.2f}, longest "
                        f"{max(seconds):.2f}; {count} bytes, "
                        f"{10.0 * count / options.baud:.2f} s on the line"
                    )
        finally:
            device.terminate()
            device.wait()


if __name__ == "__main__":
    main()
