"""Takes the pictures of the fitting page in docs/images, of a device that runs on this computer.

    .venv/bin/python tools/screenshot_fitting.py [FOLDER]

Starts `neuroamp device` on a pseudo-terminal and `neuroamp fitting` in front of it, does in
Debian's chromium what a fitter does, and writes fitting.png (a trial), fitting-lost.png (the device
was unplugged), fitting-refused.png (a number that is none) and fitting-report.png. Needs the extras
`fitting` and `dev`, and chromium.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import soundfile
from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
NEUROAMP = [sys.executable, "-m", "neuroamp_host.cli"]
SPEECH = ROOT / "host/neuroamp_host/demo_audio/speech.flac"
SIZE = {"width": 1440, "height": 1000}
WAIT_MS = 120_000
COLOURS = 256
GAIN_DB = -28.0

RIGHT = {250: 30, 500: 35, 1000: 45, 2000: 55, 3000: 65, 4000: 70, 6000: 75}
LEFT = {250: 25, 500: 30, 1000: 40, 2000: 60, 3000: 70, 4000: 75, 6000: 85}


@contextlib.contextmanager
def program(words: list[str], ready: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A `neuroamp` command once its output holds `ready`, and what that matched."""
    process = subprocess.Popen([*NEUROAMP, *words], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            match = re.search(ready, line)
            if match:
                yield process, match[0]
                return
        sys.exit(f"`neuroamp {' '.join(words)}` ended before it was ready.")
    finally:
        process.terminate()
        process.wait()


def quieter(recording: Path, path: Path) -> Path:
    """A recording at a conversation's level on a device that is not calibrated."""
    samples, rate_hz = soundfile.read(recording)
    soundfile.write(path, samples * 10.0 ** (GAIN_DB / 20.0), rate_hz)
    return path


def take(page: Page, path: Path) -> None:
    """One picture, in few colours: a page of text and lines has no more."""
    page.screenshot(path=path)
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE).save(path)
    print(f"wrote {path}")


def fill_in(page: Page) -> None:
    """Both ears' audiograms, and no response at the last point of the left one."""
    for ear, points in (("Right", RIGHT), ("Left", LEFT)):
        for hz, db in points.items():
            box = page.get_by_label(f"{ear} ear, {hz} hertz, threshold in dB HL")
            box.fill(str(db))
            box.press("Tab")
    page.get_by_label("Left ear, 6000 hertz, no response").check()
    page.mouse.move(5, 5)


def pictures(page: Page, address: str, device: subprocess.Popen[str], folder: Path) -> None:
    """Does what a fitter does, and takes the pictures on the way."""
    message = page.locator("#message.good")
    page.goto(address)
    page.wait_for_selector("#device.connected")
    fill_in(page)
    page.wait_for_selector("#match-right.wait")
    page.locator("#commit").click()
    message.filter(has_text="Stored").wait_for()
    page.locator("#rule").select_option("cameq-compressive")
    page.wait_for_selector("#match-right.wait")
    page.locator("#hear-b").click()
    message.filter(has_text="confirmed").wait_for()
    page.locator("#histogram svg").wait_for()
    take(page, folder / "fitting.png")
    page.locator("#hear-a").click()
    message.filter(has_text="Back to").wait_for()
    box = page.get_by_label("Right ear, 1000 hertz, threshold in dB HL")
    box.fill("6080")
    box.press("Tab")
    page.wait_for_selector("#audiogram-error:not([hidden])")
    take(page, folder / "fitting-refused.png")
    page.locator("#undo").click()
    page.locator("#rule").select_option("nal-r")
    page.wait_for_selector("#match-right.good")
    page.locator("#client").evaluate("(box) => { box.value = 'Ada Example'; }")
    page.locator("#fitter").evaluate("(box) => { box.value = 'A. Fitter'; }")
    page.locator("#report").click()
    page.frame_locator("#report-frame").locator("h1").wait_for()
    take(page, folder / "fitting-report.png")
    page.locator("#report-close").click()
    device.kill()
    page.wait_for_selector("#device.lost")
    take(page, folder / "fitting-lost.png")


def main() -> None:
    """Starts the programs and the browser."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=ROOT / "docs/images",
        help="where the pictures go (default: docs/images)",
    )
    folder = parser.parse_args().folder
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("chromium is not installed; install it (apt install chromium fonts-liberation).")
    with tempfile.TemporaryDirectory() as place, sync_playwright() as machinery:
        port = Path(place, "aid")
        words = ["device", "--port", f"pty:{port}", "--settings", str(Path(place, "settings"))]
        words += ["--input", str(quieter(SPEECH, Path(place, "speech.wav"))), "--serial", "NA-0001"]
        served = ["fitting", "--port", str(port), "--listen", "0", "--no-browser"]
        with (
            program(words, re.escape(str(port))) as (device, _),
            program(served, r"http://\S+") as (_, address),
        ):
            flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
            browser = machinery.chromium.launch(
                executable_path=chromium, args=flags, timeout=WAIT_MS
            )
            page = browser.new_page(viewport=SIZE)  # type: ignore[arg-type]
            page.set_default_timeout(WAIT_MS)
            pictures(page, address, device, folder)
            browser.close()


if __name__ == "__main__":
    main()
