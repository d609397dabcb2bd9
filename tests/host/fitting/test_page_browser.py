"""The fitting page in a real browser, against a real `neuroamp device` on a pseudo-terminal.

Everything is done as a fitter does it: clicks where the axes' labels cross, keys, files; and what
the device has in the end is read back from it over the line, without the page.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import neuroamp_host
import pytest
from neuroamp.audiogram import Ear
from neuroamp_host.fitting.client import DeviceClient
from neuroamp_host.prescription.fit import make_fitting

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt install chromium)"),
    pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals"),
]
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright.expect

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WAIT_MS = 120_000
START_S = 120.0
SPEECH = Path(neuroamp_host.__file__).parent / "demo_audio" / "speech.flac"
NEUROAMP = [sys.executable, "-m", "neuroamp_host.cli"]
LISTENERS = """listener,ear,250,500,1000,2000,4000
Ada,right,20,25,40,55,>110
Bob,left,30,,45,50,60
"""

OCTAVES_HZ = {125: "125", 250: "250", 500: "500", 1000: "1k", 2000: "2k", 4000: "4k", 8000: "8k"}


class Program:
    """A `neuroamp` command that runs until it is stopped."""

    def __init__(self, words: list[str], ready: str) -> None:
        """Starts it, and waits for the line of its output that matches `ready`."""
        self.process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines: list[str] = []
        self._said = threading.Event()
        self._ready = re.compile(ready)
        self.match: re.Match[str] | None = None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._said.wait(START_S)
        if self.match is None:
            self.stop(kill=True)
            raise AssertionError(f"{words} said {self.lines}")

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            self.match = self.match or self._ready.search(line)
            if self.match:
                self._said.set()
        self._said.set()

    def stop(self, kill: bool = False) -> None:
        """Ends it, without warning if `kill`."""
        self.process.kill() if kill else self.process.terminate()
        self.process.wait(START_S)


class Bench:
    """A device that can be unplugged, the program `neuroamp fitting`, and its page."""

    def __init__(self, folder: Path, browser: Any) -> None:
        self.port = folder / "aid"
        self.settings = folder / "settings"
        self.complaints: list[str] = []
        self.page = browser.new_page(viewport={"width": 1440, "height": 1000})
        self.page.set_default_timeout(WAIT_MS)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._on_console)
        self.device: Program | None = None
        self.server: Program | None = None

    def open(self) -> None:
        self.plug_in()
        self.server = Program(
            [*NEUROAMP, "fitting", "--port", str(self.port), "--listen", "0", "--no-browser"],
            r"(http://127\.0\.0\.1:\d+/)",
        )
        assert self.server.match is not None
        self.page.goto(self.server.match[1])
        self.page.wait_for_selector("html[data-ready=yes]")
        try:
            self.page.wait_for_selector("#device.connected")
        except playwright.TimeoutError:
            said = self.page.locator("#banner").inner_text()
            raise AssertionError(f"{said!r}; the device: {self.device.lines}") from None

    def _on_console(self, said: Any) -> None:
        # A refusal of the server is one of the page's own answers, which the page shows.
        if said.type == "error" and "Failed to load resource" not in said.text:
            self.complaints.append(said.text)

    def plug_in(self) -> None:
        # Sound from a file, so that levels and times are those of a device that works; without a
        # net, so that a busy machine can keep up with it.
        words = ["device", "--port", f"pty:{self.port}", "--settings", str(self.settings)]
        words += ["--input", str(SPEECH), "--model", "none"]
        self.device = Program([*NEUROAMP, *words], re.escape(str(self.port)))

    def unplug(self) -> None:
        assert self.device is not None
        self.device.stop(kill=True)
        self.device = None

    def close(self) -> None:
        self.page.close()
        for program in (self.server, self.device):
            if program is not None:
                program.stop()

    # What a fitter does

    def crossing(self, hz: int, db: int) -> tuple[float, float]:
        """Where the grid lines of a frequency and a level cross on the screen."""
        label = self.page.locator(".graph svg text", has_text=re.compile(f"^{OCTAVES_HZ[hz]}$"))
        # '250' and '500' are frequencies only, '20' to '120' levels only: no label is both.
        column = label.first.bounding_box()
        row = self.page.locator(".graph svg text", has_text=re.compile(f"^{db}$")).bounding_box()
        return column["x"] + column["width"] / 2, row["y"] + row["height"] / 2

    def draw(self, ear: str, points: dict[int, int]) -> None:
        self.page.locator(f"#ear label.{ear}").click()
        for hz, db in points.items():
            self.page.mouse.click(*self.crossing(hz, db))

    def box(self, ear: str, hz: int) -> Any:
        return self.page.get_by_label(f"{ear.capitalize()} ear, {hz} hertz, threshold in dB HL")

    def says(self, words: str) -> None:
        expect(self.page.locator("#message")).to_contain_text(words, timeout=WAIT_MS)

    def badge(self, ear: str, words: str) -> None:
        expect(self.page.locator(f"#match-{ear}")).to_contain_text(words, timeout=WAIT_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as machinery:
        browser = machinery.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS, timeout=1000 * START_S
        )
        yield browser
        browser.close()


@pytest.fixture
def bench(tmp_path: Path, browser: Any) -> Iterator[Bench]:
    bench = Bench(tmp_path, browser)
    try:
        bench.open()
        yield bench
    finally:
        bench.close()


DRAWN = {250: 20, 500: 30, 1000: 40, 2000: 50, 4000: 70}


def test_draw_try_commit_unplug_recover(bench: Bench) -> None:
    page = bench.page
    bench.draw("right", DRAWN)
    bench.draw("left", {1000: 60})
    expect(bench.box("right", 1000)).to_have_value("40")
    expect(bench.box("left", 1000)).to_have_value("60")
    expect(bench.box("left", 500)).to_have_value("")
    bench.badge("right", "not on the device yet")

    # Try: the device confirms its gains; the drawing of them is the target's.
    page.locator("#hear-b").click()
    bench.says("the device confirmed its gains")
    expect(page.locator("#hear-b")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#trial-words")).to_contain_text("back to A in")
    bench.badge("right", "heard on trial, not stored")
    page.locator("#hear-a").click()
    bench.says("Back to the stored fitting")
    expect(page.locator("#hear-a")).to_have_attribute("aria-pressed", "true")

    page.locator("#commit").click()
    bench.says("Stored for both ears, read back, and applied by the device.")
    bench.badge("right", "stored in the device")
    bench.badge("left", "stored in the device")

    # Unplugged in the middle of a trial of something else.
    bench.draw("right", {1000: 80})
    bench.badge("right", "not on the device yet")
    page.locator("#hear-b").click()
    bench.says("the device confirmed its gains")
    bench.unplug()
    banner = page.locator("#banner")
    expect(banner).to_be_visible(timeout=WAIT_MS)
    expect(banner).to_have_attribute("role", "alert")
    expect(banner).to_contain_text(str(bench.port))
    expect(page.locator("#device-state")).to_have_text("Device lost")
    expect(page.locator("#commit")).to_have_attribute("aria-disabled", "true")
    page.locator("#commit").click(force=True)
    bench.says("The device is not connected.")
    page.locator("#panic").click()
    bench.says("Take it out of the ear")

    bench.plug_in()
    page.wait_for_selector("#device.connected")
    expect(banner).to_be_hidden()
    # The drawing is kept, the device has what was committed, and nothing of the trial.
    expect(bench.box("right", 1000)).to_have_value("80")
    bench.badge("right", "not on the device yet")
    bench.badge("left", "stored in the device")
    page.locator("#undo").click()
    bench.badge("right", "stored in the device")
    assert bench.complaints == []

    bench.server.stop()
    with DeviceClient(str(bench.port)) as client:
        record = client.read_record(Ear.RIGHT)
        assert record is not None
        assert record.audiogram is not None
        assert record.audiogram.frequencies_hz == tuple(map(float, DRAWN))
        assert record.audiogram.thresholds_db_hl == tuple(map(float, DRAWN.values()))
        target = make_fitting(record.audiogram, Ear.RIGHT).gain_65_db
        assert client.applied_gains_db(Ear.RIGHT) == pytest.approx(target, abs=1e-3)
        left = client.read_record(Ear.LEFT)
        assert left is not None
        assert left.fitting.ear is Ear.LEFT
        assert left.fitting.thresholds_db_hl == (60.0,) * 6


def test_the_keyboard_is_enough(bench: Bench) -> None:
    page, keys = bench.page, bench.page.keyboard

    def focus_of(selector: str, backwards: bool = False) -> None:
        """Goes on with Tab until that has the focus, which must be visible."""
        for _ in range(150):
            keys.press("Shift+Tab" if backwards else "Tab")
            if page.locator(f"{selector}:focus").count():
                style = "e => getComputedStyle(e).outlineStyle + getComputedStyle(e).outlineWidth"
                assert page.locator(selector).evaluate(style) != "none0px" or "handle" in selector
                return
        raise AssertionError(f"Tab never comes to {selector}")

    focus_of('.handle[data-hz="1000"]')
    point = page.locator('.handle[data-hz="1000"]')
    assert point.get_attribute("role") == "slider"
    assert point.get_attribute("aria-valuetext") == "not measured"
    keys.press("ArrowDown")  # a point appears where the eye is
    keys.press("ArrowDown")
    keys.press("Shift+ArrowUp")
    expect(bench.box("right", 1000)).to_have_value("24")
    assert point.get_attribute("aria-valuetext") == "24 dB HL"
    keys.press("ArrowRight")
    keys.press("n")
    expect(page.get_by_label("Right ear, 1500 hertz, no response")).to_be_checked()
    keys.press("Delete")
    expect(bench.box("right", 1500)).to_have_value("")
    keys.press("Home")
    for _ in range(30):
        keys.press("PageUp")
    expect(bench.box("right", 125)).to_have_value("-10")
    keys.press("l")
    keys.press("End")
    keys.press("ArrowDown")
    keys.press("PageDown")
    expect(bench.box("left", 8000)).to_have_value("40")
    assert page.locator('.handle[data-hz="8000"]:focus').count() == 1

    focus_of("#hear-b")
    keys.press("Enter")
    bench.says("the device confirmed its gains")
    focus_of("#commit")
    keys.press("Space")
    bench.says("Stored for both ears")
    focus_of("#panic", backwards=True)
    keys.press("Enter")
    bench.says("Silenced")
    expect(page.locator("#mute")).to_contain_text("Silenced")
    focus_of("#mute", backwards=True)
    keys.press("Enter")
    expect(page.locator("#mute")).to_have_text("Mute")
    assert bench.complaints == []


def test_6080_typed_into_a_box_is_refused_in_a_sentence(bench: Bench) -> None:
    page = bench.page
    bench.draw("right", {500: 40})
    box = bench.box("right", 1000)
    box.fill("6080")
    box.press("Tab")
    mistake = page.locator("#audiogram-error")
    expect(mistake).to_be_visible()
    expect(mistake).to_contain_text("6080")
    expect(mistake).to_contain_text("from -10 to 120 dB HL")
    expect(mistake).to_have_attribute("role", "alert")
    expect(box).to_have_attribute("aria-invalid", "true")
    assert "audiogram-error" in str(box.get_attribute("aria-describedby"))
    page.locator("#commit").click(force=True)
    bench.says("Correct what the page marks first.")
    # What the page would not send, the server does not take.
    answer = page.evaluate(
        """async () => (await fetch("/api/commit", {method: "POST",
            headers: {"Content-Type": "application/json"},
            body: JSON.stringify({ears: {right: {points: [[1000, 6080, false]]}}})})).json()"""
    )
    assert "6080" in answer["error"]
    mpo = page.locator("#mpo-right")
    box.fill("45")
    box.press("Tab")
    expect(mistake).to_be_hidden()
    mpo.fill("150")
    mpo.press("Tab")
    expect(mistake).to_contain_text("from 60 to 120")
    mpo.fill("105")
    mpo.press("Tab")
    expect(mistake).to_be_hidden()
    page.locator("#commit").click()
    bench.says("Stored for right ear")
    bench.server.stop()
    with DeviceClient(str(bench.port)) as client:
        record = client.read_record(Ear.RIGHT)
        assert record is not None
        assert record.fitting.mpo_db_spl == 105.0
        assert client.read_record(Ear.LEFT) is None


def test_files_rules_live_and_report(bench: Bench, tmp_path: Path) -> None:
    page = bench.page
    listeners, table = tmp_path / "two.csv", tmp_path / "gains.csv"
    listeners.write_text(LISTENERS, encoding="utf-8")
    table.write_text("frequency_hz,input_db_spl,gain_db\n1000,65,17\n", encoding="utf-8")
    page.set_input_files("#file", listeners)
    page.locator("#listener").select_option(label="Ada")
    page.get_by_role("button", name="Load", exact=True).click()
    bench.says("of Ada was loaded")
    expect(bench.box("right", 2000)).to_have_value("55")
    expect(page.get_by_label("Right ear, 4000 hertz, no response")).to_be_checked()
    expect(bench.box("left", 1000)).to_have_value("")
    page.set_input_files("#file", {"name": "no.csv", "mimeType": "text/csv", "buffer": b"no"})
    bench.says("No.csv: this is neither JSON nor a table")

    page.locator("#rule").select_option("gain-table")
    expect(page.locator("#audiogram-error")).to_contain_text("no gain table yet")
    page.set_input_files("#table-file", table)
    expect(page.locator("#audiogram-error")).to_be_hidden()
    page.locator("#gain-title").scroll_into_view_if_needed()
    page.get_by_text("The gains as a table").click()
    row = page.get_by_role("row", name=re.compile("Right ear, target, 65 dB SPL"))
    expect(row).to_contain_text("17.0")

    # The device's levels and times come by themselves.
    meter = page.get_by_role("meter", name="Right ear, input level in dB SPL")
    expect(meter).to_have_attribute("aria-valuetext", re.compile(r"\d+ dB SPL"))
    expect(page.locator("#histogram-words")).to_contain_text("frames late")

    page.locator("#client").evaluate("(box) => { box.value = 'Ada'; }")
    page.locator("#report").click()
    frame = page.frame_locator("#report-frame")
    expect(frame.get_by_role("heading", name="Hearing aid fitting")).to_be_visible()
    expect(frame.locator("body")).to_contain_text("gain table gains.csv")
    expect(frame.locator("body")).to_contain_text("no response at 110")
    with page.expect_download() as download:
        page.locator("#report-save").click()
    saved = Path(download.value.path()).read_text(encoding="utf-8")
    assert "Ada" in saved
    assert "<script" not in saved
    assert bench.complaints == []


def test_the_page_can_be_used_by_everyone(bench: Bench) -> None:
    """axe-core's rules (WCAG 2 A and AA), and what they do not look at."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is missing")
    page = bench.page
    bench.draw("right", DRAWN)
    for summary in page.locator("summary").all():
        summary.click()
    bench.badge("right", "not on the device yet")
    results = axe.Axe().run(
        page,
        options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]},
    )
    assert results.violations_count == 0, results.generate_report()
    # Colour is never the only cue: every coloured ear has its sign beside it.
    for ear, sign in (("right", "O"), ("left", "X")):
        for place in page.locator(f"b.{ear}").all_inner_texts():
            assert place == sign
    # Every number of the graph is in the table too, and every control has a name.
    assert page.locator("#points input[type=number]").count() == 22
    for control in page.locator("button, input, select").all():
        name = control.evaluate(
            "e => e.getAttribute('aria-label') || e.labels?.[0]?.innerText || e.innerText"
        )
        assert str(name).strip(), control.evaluate("e => e.outerHTML")
    assert page.locator("[aria-live=polite]").count() >= 2
    assert bench.complaints == []
