"""`neuroamp fit` against a device on a pseudo-terminal: what it prints, stores and returns."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from neuroamp.audiogram import Audiogram, Ear, Listener, bisgaard
from neuroamp.audiogram_files import save_listeners_json
from neuroamp.link.codes import Output, Program
from neuroamp.link.dispatcher import unfitted
from neuroamp.link.records import FittingRecord
from neuroamp_host.cli import main
from neuroamp_host.commands import fit
from neuroamp_host.fitting import push as pushing
from neuroamp_host.fitting.ports import PtyPort
from neuroamp_host.prescription.fit import make_fitting
from quiet_device import QuietDevice, QuietPart
from serial_proxy import BadLine


@pytest.fixture
def device(tmp_path: Path) -> Iterator[QuietDevice]:
    with QuietDevice(tmp_path / "aid") as running:
        yield running


def stored(device: QuietDevice, ear: Ear) -> FittingRecord | None:
    record = device.settings.fitting(ear)
    return None if record is None else FittingRecord.decode(record)


def test_both_ears_are_fitted_shown_and_verified(
    device: QuietDevice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = tmp_path / "people.json"
    ada = Listener("Ada", left=bisgaard("N3"), right=bisgaard("S2"))
    save_listeners_json(people, [Listener("Ben", left=bisgaard("N1")), ada])
    options = ["--rule", "cameq", "--mpo-db-spl", "105", "--noise-reduction", "0.5"]
    audiogram = ["--ear", "both", "--audiogram", f"{people}:Ada", "--program", "music"]
    assert main(["fit", "--port", device.port, *audiogram, *options]) == 0
    out = capsys.readouterr().out
    assert "stored and verified" in out
    assert "left ear, audiogram N3, rule cameq" in out
    assert "not calibrated and limited to 85 dB SPL" in out
    for ear, audiogram_of in ((Ear.LEFT, "N3"), (Ear.RIGHT, "S2")):
        record = stored(device, ear)
        wanted = make_fitting(bisgaard(audiogram_of), ear, "cameq", False, 105.0, 0.5)
        assert record == FittingRecord.decode(
            FittingRecord(
                wanted, bisgaard(audiogram_of), Program.MUSIC, 1, record.time_s if record else 0
            ).encode()
        )
    assert len(device.settings.stores) == 1


def test_versions_count_and_the_other_ear_stays(device: QuietDevice) -> None:
    fit_left = ["fit", "--port", device.port, "--ear", "left", "--audiogram"]
    assert main([*fit_left, "N3"]) == 0
    assert main([*fit_left, "N4"]) == 0
    record = stored(device, Ear.LEFT)
    assert record is not None
    assert (record.version, record.audiogram) == (2, bisgaard("N4"))
    assert stored(device, Ear.RIGHT) is None


def test_a_dry_run_needs_no_device(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--ear", "left", "--audiogram", "N3", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "nothing was sent" in out
    assert "6000" in out


def test_thresholds_are_shown_as_they_were_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = tmp_path / "people.json"
    audiogram = Audiogram((250.0, 1000.0, 4000.0), (20.0, None, 110.0), (False, False, True))
    save_listeners_json(people, [Listener("Ada", left=audiogram)])
    assert main(["fit", "--ear", "left", "--audiogram", str(people), "--dry-run"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if "dB HL" in line)
    assert row.split()[2:] == ["-", "20", *"-" * 6, "110NR", "-", "-"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "say one thing to do"),
        (["--audiogram", "N3"], "--ear is missing"),
        (["--audiogram", "N3", "--ear", "left"], "--port is missing; `neuroamp fit --list`"),
        (["--audiogram", "N3", "--ear", "left", "--port", "nowhere"], "nowhere is not there"),
        (["--audiogram", "missing.csv", "--ear", "left", "--port", "x"], "missing.csv"),
        (["--audiogram", "N3", "--ear", "left", "--mpo-db-spl", "130", "--port", "x"], "60 to 120"),
        (["--audiogram", "N3", "--backup", "x"], "--audiogram and --backup was given"),
        (["--audiogram", "N3", "--ear", "left", "--try", "5", "--port", "x"], "from 30 to 600"),
        (["--restore", "missing.json", "--port", "x"], "missing.json cannot be read"),
    ],
)
def test_a_mistake_is_one_sentence(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_an_audiogram_without_that_ear_is_refused(
    device: QuietDevice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = tmp_path / "people.json"
    save_listeners_json(people, [Listener("Ada", left=bisgaard("N3"))])
    arguments = ["fit", "--port", device.port, "--ear", "both", "--audiogram", str(people)]
    assert main(arguments) == 2
    assert "no audiogram for the right ear" in capsys.readouterr().err
    assert device.settings.stores == []


def test_a_device_without_that_ear_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with QuietDevice(tmp_path / "aid", ears=frozenset([Ear.LEFT])) as device:
        assert main(["fit", "--port", device.port, "--ear", "right", "--audiogram", "N3"]) == 2
        assert "has the left ear but not the right ear" in capsys.readouterr().err
        assert device.settings.stores == []


def test_what_cannot_be_verified_is_not_stored(
    device: QuietDevice, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pushing, "FADE_S", 0.1)
    monkeypatch.setattr(device.part, "applied_gains_db", QuietPart().applied_gains_db)
    assert main(["fit", "--port", device.port, "--ear", "left", "--audiogram", "N3"]) == 3
    assert "not verified" in capsys.readouterr().err
    assert device.settings.stores == []
    assert device.part.fittings[Ear.LEFT] == unfitted(Ear.LEFT)


def test_a_cable_that_is_pulled_and_stays_out_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fit, "RECONNECT_S", 0.0)
    device = QuietDevice(tmp_path / "aid")
    device.start()
    pull = threading.Thread(target=device.stop)
    receive = device.dispatcher.receive

    def pulled_at_the_first_write(data: bytes) -> bytes:
        if len(data) > 100 and not pull.is_alive() and pull.ident is None:
            pull.start()
            return b""
        return receive(data)

    monkeypatch.setattr(device.dispatcher, "receive", pulled_at_the_first_write)
    assert main(["fit", "--port", device.port, "--ear", "left", "--audiogram", "N3"]) == 3
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "is not there; plug the device in" in error
    assert device.settings.stores == []
    pull.join()


def test_a_cable_that_is_pulled_and_put_back_is_fitted_all_the_same(
    device: QuietDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with BadLine(device.port, tmp_path / "line") as line:
        receive, cut = device.dispatcher.receive, threading.Event()

        def cut_once(data: bytes) -> bytes:
            if len(data) > 100 and not cut.is_set():
                cut.set()
                line._cut.set()
            return receive(data)

        monkeypatch.setattr(device.dispatcher, "receive", cut_once)
        port = str(tmp_path / "line")
        assert main(["fit", "--port", port, "--ear", "left", "--audiogram", "N3"]) == 0
        assert line.cuts == 1
    assert len(device.settings.stores) == 1


def test_a_backup_is_restored_as_it_was(
    device: QuietDevice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backup = tmp_path / "backup.json"
    port = ["fit", "--port", device.port]
    assert main([*port, "--backup", str(backup)]) == 2
    assert "has no stored fitting" in capsys.readouterr().err
    assert main([*port, "--ear", "both", "--audiogram", "N3"]) == 0
    before = {ear: stored(device, ear) for ear in Ear}
    assert main([*port, "--backup", str(backup)]) == 0
    assert json.loads(backup.read_text())["fittings"]["left"]["audiogram"]["name"] == "N3"
    assert main([*port, "--ear", "both", "--audiogram", "N6"]) == 0
    assert main([*port, "--restore", str(backup)]) == 0
    for ear in Ear:
        now, then = stored(device, ear), before[ear]
        assert now is not None
        assert then is not None
        assert (now.fitting, now.audiogram, now.time_s) == (
            then.fitting,
            then.audiogram,
            then.time_s,
        )


@pytest.mark.parametrize("damage", ["cut", "flip", "ears", "format", "binary"])
def test_a_damaged_backup_is_refused(
    device: QuietDevice, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    backup = tmp_path / "backup.json"
    port = ["fit", "--port", device.port]
    assert main([*port, "--ear", "both", "--audiogram", "N3"]) == 0
    assert main([*port, "--backup", str(backup)]) == 0
    text = backup.read_text()
    document = json.loads(text)
    if damage == "cut":
        backup.write_text(text[: len(text) // 2])
    elif damage == "binary":
        backup.write_bytes(b"\xff\x00\xfe")
    else:
        if damage == "flip":
            record = document["fittings"]["left"]["record"]
            document["fittings"]["left"]["record"] = record[:-1] + (
                "0" if record[-1] != "0" else "1"
            )
        elif damage == "ears":
            fittings = document["fittings"]
            fittings["left"], fittings["right"] = fittings["right"], fittings["left"]
        else:
            document["format"] = "something"
        backup.write_text(json.dumps(document))
    capsys.readouterr()
    assert main([*port, "--restore", str(backup)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert len(device.settings.stores) == 1


def test_a_trial_without_a_terminal_is_taken_back(
    device: QuietDevice, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(fit.time, "sleep", lambda s: slept.append(s) if s > 1.0 else None)
    arguments = ["fit", "--port", device.port, "--ear", "left", "--audiogram", "N3"]
    assert main([*arguments, "--try", "40"]) == 0
    assert slept == [40]
    assert "taken back" in capsys.readouterr().out
    assert device.settings.stores == []


@pytest.mark.parametrize(("answer", "writes"), [("y\n", 1), ("n\n", 0), ("\n", 0)])
def test_a_trial_is_kept_by_a_yes(
    device: QuietDevice, monkeypatch: pytest.MonkeyPatch, answer: str, writes: int
) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return answer

    monkeypatch.setattr(fit, "sys", SimpleNamespace(stdin=Terminal(), stderr=sys.stderr))
    monkeypatch.setattr(fit, "select", SimpleNamespace(select=lambda *_: ([1], [], [])))
    arguments = ["fit", "--port", device.port, "--ear", "left", "--audiogram", "N3"]
    assert main([*arguments, "--try", "30"]) == 0
    assert len(device.settings.stores) == writes


def test_a_calibration_is_stored_while_muted_and_the_fitting_stays(
    device: QuietDevice, capsys: pytest.CaptureFixture[str]
) -> None:
    port = ["fit", "--port", device.port, "--ear", "left"]
    assert main([*port, "--audiogram", "N3"]) == 0
    levels = ["--microphone-db-spl", "121.5", "--receiver-db-spl", "116"]
    assert main([*port, "--calibrate", *levels, "--ceiling-db-spl", "105"]) == 0
    calibration = device.part.calibrations[Ear.LEFT]
    assert calibration is not None
    assert calibration.microphone_full_scale_db_spl == 121.5
    assert calibration.ceiling_db_spl == 105.0
    assert device.part.output() is Output.SOUNDS
    assert device.part.calibrations[Ear.RIGHT] is None
    assert len(device.settings.stores) == 1
    capsys.readouterr()
    assert main([*port, "--calibrate", "--microphone-db-spl", "121"]) == 2
    assert "--receiver-db-spl" in capsys.readouterr().err
    assert main([*port, "--calibrate"]) == 2
    assert "needs what was measured" in capsys.readouterr().err


def test_the_list_says_what_answers(
    device: QuietDevice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "--list", "--port", device.port]) == 0
    assert "quiet device, QUIET-1, firmware 0, left unfitted" in capsys.readouterr().out
    silent = PtyPort(tmp_path / "silent")
    assert main(["fit", "--list", "--port", silent.name]) == 0
    assert "did not answer" in capsys.readouterr().out
    silent.close()
