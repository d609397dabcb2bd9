"""The listening test: what is heard, that nobody can know what it is, and the count."""

import csv
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import uvicorn
from fastapi.testclient import TestClient
from neuroamp.audiogram import bisgaard
from neuroamp.errors import NeuroampError
from neuroamp.units import level_db_spl
from neuroamp_host.cli import MISTAKE, main
from neuroamp_host.listening.hearing_loss import SAMPLE_RATE_HZ, simulate_hearing_loss
from neuroamp_host.listening.material import COMPARED, PAIRS, PLAN, load
from neuroamp_host.listening.results import ALL, count
from neuroamp_host.listening.server import make_app
from neuroamp_host.listening.session import COLUMNS, RESULTS, ListeningTest, read_results
from scipy import stats

CHROMIUM = shutil.which("chromium")
BASE = "http://127.0.0.1:8643"
PLAY = """side => new Promise(done => {
    const player = document.getElementById(side);
    player.addEventListener("ended", () => done(), { once: true });
    player.play();
})"""
"""Plays a sound to its end, in the browser."""


def write(path: Path, seed: int, seconds: float = 1.1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(int(seconds * 16000)) / 16000
    noise = np.random.default_rng(seed).normal(0.0, 0.05, time.size)
    soundfile.write(path, noise * (1.0 + np.sin(8.0 * np.pi * time)), 16000)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A test of one pair of each category, made by the command."""
    data = tmp_path_factory.mktemp("data")
    for kind in ("speech", "noise", "music"):
        for seed, name in enumerate("ab"):
            write(data / kind / "test" / name / "one.wav", seed)
    folder = tmp_path_factory.mktemp("listening") / "test"
    # Of a plain folder without pairs, all speech is VCTK's stand-in.
    words = ["listening", "prepare", str(folder), "--data", str(data), "--share", "0.1"]
    assert main([*words, "--model", "paper-cnn"]) == 0
    return folder


@pytest.fixture
def folder(prepared: Path, tmp_path: Path) -> Path:
    """The test's folder, without results."""
    return Path(shutil.copytree(prepared, tmp_path / "test"))


def test_a_simulated_loss_takes_away_what_the_ear_would_not_hear() -> None:
    """By about the loss for soft sound, by less for loud sound: recruitment."""
    time = np.arange(16000) / 16000
    tone = np.sin(2.0 * np.pi * 3000.0 * time)
    lost = {}
    for level in (60.0, 90.0):
        sound = tone * 10.0 ** ((level - level_db_spl(tone)) / 20.0)
        heard = simulate_hearing_loss(sound, 16000, bisgaard("N3"))
        assert SAMPLE_RATE_HZ <= heard.size <= 1.2 * SAMPLE_RATE_HZ
        lost[level] = level - level_db_spl(heard[SAMPLE_RATE_HZ // 4 : -SAMPLE_RATE_HZ // 4])
    assert lost[60.0] > 20.0
    assert lost[60.0] > lost[90.0] + 5.0


def test_every_category_has_its_pair_and_no_name_tells(prepared: Path) -> None:
    pairs = load(prepared)
    assert [pair.category for pair in pairs] == [category for category, *_ in PAIRS]
    for pair in pairs:
        sounds = []
        for name in pair.files.values():
            assert not any(word.lower() in name.lower() for word in ("neuro", "wdrc", "nal"))
            sound, rate = soundfile.read(prepared / name)
            assert rate == SAMPLE_RATE_HZ
            assert 0.0 < np.abs(sound).max() <= 0.91
            sounds.append(sound)
        assert not np.array_equal(*sounds)


def test_each_participant_gets_another_order_and_both_sides_occur(folder: Path) -> None:
    test = ListeningTest(folder, seed=1)
    for participant in range(12):
        key = test.begin(f"P{participant}")
        for number in range(1, len(PAIRS) + 1):
            test.answer(key, number, "a")
    rows = read_results(folder)
    orders = {
        tuple(row["category"] for row in rows if row["participant"] == f"P{p}") for p in range(12)
    }
    assert len(orders) == 12
    first = [row["a"] for row in rows]
    assert 20 < first.count(COMPARED[0]) < 52
    assert all(row["preferred"] == row["a"] != row["b"] for row in rows)


def test_what_a_browser_is_told_names_no_system(folder: Path) -> None:
    browser = TestClient(make_app(ListeningTest(folder), None), base_url=BASE)
    said = browser.post("/api/begin", json={"participant": "P 1"})
    trial = said.json()
    heard = []
    while not trial["done"]:
        for side in ("a", "b"):
            sound = browser.get(f"/sound/{trial[side]}")
            assert sound.headers["content-type"] == "audio/wav"
            heard.append(str(sound.headers) + str(sound.url))
        answer = {"number": trial["number"], "answer": "similar"}
        reply = browser.post("/api/answer", json={"session": said.json()["session"], **answer})
        heard.append(reply.text)
        trial = {**trial, **reply.json()}
    words = [*COMPARED, "neuroamp", "wdrc", *(n for p in load(folder) for n in p.files.values())]
    for text in (said.text, *heard):
        assert not any(word.lower() in text.lower() for word in words)
    assert len(read_results(folder)) == len(PAIRS)


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/api/begin", {"participant": ""}, "1 to 40"),
        ("/api/begin", {"participant": "=cmd|'/c'"}, "1 to 40"),
        ("/api/answer", {"session": "x", "number": 1, "answer": "a"}, "not under way"),
        ("/api/answer", {"session": "x", "answer": "a"}, "without its pair"),
        ("/api/answer", {"session": "x", "number": 1, "answer": "c"}, "must be a, b or similar"),
    ],
)
def test_a_wrong_request_is_one_sentence(folder: Path, path: str, body: dict, said: str) -> None:
    browser = TestClient(make_app(ListeningTest(folder), None), base_url=BASE)
    reply = browser.post(path, json=body)
    assert reply.status_code == 409
    assert said in reply.json()["error"]
    assert read_results(folder) == []


def test_no_other_file_is_served(folder: Path) -> None:
    browser = TestClient(make_app(ListeningTest(folder), None), base_url=BASE)
    for path in (f"/{PLAN}", f"/sound/{PLAN}", "/static/..%2fsession.py", f"/static/{PLAN}"):
        assert browser.get(path).status_code in (404, 409)
    for name in ("/", "/static/style.css", "/static/test.js"):
        assert browser.get(name).status_code == 200


def test_an_answer_sent_twice_counts_once_and_a_code_is_used_once(folder: Path) -> None:
    test = ListeningTest(folder)
    key = test.begin("P1")
    test.answer(key, 1, "a")
    test.answer(key, 1, "b")
    assert [row["answer"] for row in read_results(folder)] == ["a"]
    with pytest.raises(NeuroampError, match="turn of pair 2"):
        test.answer(key, 3, "a")
    with pytest.raises(NeuroampError, match="used before"):
        test.begin("P1")
    # After a restart as well.
    with pytest.raises(NeuroampError, match="used before"):
        ListeningTest(folder).begin("P1")


def test_counts_and_the_binomial_test() -> None:
    preferred = [COMPARED[1]] * 9 + [COMPARED[0]] * 2 + ["similar"] * 20
    rows = [{"category": "clean speech", "preferred": name} for name in preferred]
    found = count([*rows, {"category": "noisy speech", "preferred": "similar"}])
    assert list(found) == ["clean speech", "noisy speech", ALL]
    assert found["clean speech"]["binomial p"] == stats.binomtest(9, 11).pvalue
    assert found["noisy speech"]["binomial p"] is None
    assert found[ALL]["similar"] == 21


def test_results_are_drawn_and_written(folder: Path) -> None:
    test = ListeningTest(folder, seed=0)
    key = test.begin("P1")
    for number, answer in enumerate(("a", "b", "similar", "a"), 1):
        test.answer(key, number, answer)
    assert main(["listening", "results", str(folder)]) == 0
    assert json.loads((folder / "results.json").read_text())[ALL]["similar"] == 1
    assert (folder / "results.png").stat().st_size > 1000
    with (folder / RESULTS).open() as file:
        assert tuple(next(csv.reader(file))) == COLUMNS


def test_a_folder_that_is_no_test_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["listening", "results", str(tmp_path)]) == MISTAKE
    assert "no whole listening test" in capsys.readouterr().err
    (tmp_path / PLAN).write_text('{"pairs": [{"category": 1}]}')
    assert main(["listening", "serve", "--no-browser", str(tmp_path)]) == MISTAKE
    words = ["listening", "prepare", str(tmp_path), "--data", str(tmp_path)]
    assert main([*words, "--model", "paper-cnn"]) == MISTAKE
    assert "not empty" in capsys.readouterr().err


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    """A served test."""
    config = uvicorn.Config(make_app(ListeningTest(folder), None), port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    server.should_exit = True
    thread.join()


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt install chromium)")
def test_a_participant_hears_answers_and_is_done(address: str, folder: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"],
        )
        page = browser.new_page()
        page.set_default_timeout(120_000)
        page.goto(address)
        page.get_by_label("Your code").fill("P1")
        page.get_by_role("button", name="Begin").click()
        for number in range(1, len(PAIRS) + 1):
            page.get_by_role("heading", name=f"Pair {number} of {len(PAIRS)}").wait_for()
            assert page.get_by_role("button", name="A is better").is_disabled()
            for side in ("a", "b"):
                page.evaluate(PLAY, side)
            page.get_by_role("button", name="Similar").click()
        page.get_by_role("heading", name="Thank you").wait_for()
        browser.close()
    assert [row["answer"] for row in read_results(folder)] == ["similar"] * len(PAIRS)
