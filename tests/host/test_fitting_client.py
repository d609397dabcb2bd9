"""A client and a whole device on a pseudo-terminal: fitted, verified, cut off, taken over."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from neuroamp.audiogram import Ear, bisgaard
from neuroamp.core_file import core_file
from neuroamp.errors import NeuroampError
from neuroamp.link.codes import (
    Command,
    EventCode,
    ModelState,
    ObjectKind,
    Output,
    Program,
    Source,
    Status,
)
from neuroamp.link.dispatcher import unfitted
from neuroamp.link.frames import Frame, Kind
from neuroamp.link.messages import BOTH_EARS
from neuroamp.link.records import Calibration, FittingRecord
from neuroamp.model_file import ModelInfo
from neuroamp.profile import WEAR
from neuroamp.times import Stage
from neuroamp_host.fitting.client import (
    DeviceClient,
    LinkError,
    NoAnswerError,
    PortError,
    RefusedError,
    SessionLostError,
)
from neuroamp_host.fitting.link import Patience
from neuroamp_host.fitting.ports import PtyPort
from neuroamp_host.fitting.push import NotVerifiedError, push
from neuroamp_host.prescription.fit import make_fitting
from quiet_device import QuietDevice, QuietPart

SHORT = Patience(first_s=0.05, slow_first_s=0.05, most_s=0.1, tries=3)
LONG = Patience(first_s=1.0, slow_first_s=2.0, most_s=8.0, tries=8)


def record(ear: Ear, name: str = "N3") -> FittingRecord:
    audiogram = bisgaard(name)
    whole = FittingRecord(make_fitting(audiogram, ear), audiogram, Program.EVERYDAY, 1, 1764000000)
    return FittingRecord.decode(whole.encode())


@pytest.fixture
def device(tmp_path: Path) -> Iterator[QuietDevice]:
    with QuietDevice(tmp_path / "aid") as running:
        yield running


@pytest.fixture
def client(device: QuietDevice) -> Iterator[DeviceClient]:
    with DeviceClient(device.port, patience=LONG) as opened:
        yield opened


def test_a_device_says_who_it_is(client: DeviceClient) -> None:
    identity = client.identify()
    assert (identity.serial, identity.name, identity.profile) == ("QUIET-1", "quiet device", "wear")
    assert (identity.sample_rate_hz, identity.hop, identity.delay_samples) == (16000, 32, 64)
    assert client.greeting.ears == BOTH_EARS
    assert client.levels()[Ear.LEFT].output_db_spl == 78.25
    assert client.times(Stage.FRAME).ticks_per_second == 10**9
    assert client.counts(Ear.RIGHT).good_frames > 2
    assert [event.code for _, event in client.events()] == [EventCode.STARTED]


def test_a_fitting_is_staged_tried_and_committed(client: DeviceClient, device: QuietDevice) -> None:
    wanted = record(Ear.LEFT)
    assert client.stage(wanted) == wanted
    assert client.read_staged(Ear.LEFT) == wanted.fitting
    assert client.read_fitting(Ear.LEFT) is None
    assert device.part.fittings[Ear.LEFT] == unfitted(Ear.LEFT)
    client.try_staged(Ear.LEFT, 30)
    assert client.applied(Ear.LEFT).source is Source.TRIAL
    np.testing.assert_allclose(client.applied_gains_db(Ear.LEFT), wanted.fitting.gain_65_db)
    assert client.revert() == frozenset([Ear.LEFT])
    assert client.applied_gains_db(Ear.LEFT) == (0.0,) * 11
    assert client.commit(Ear.LEFT) == 1
    assert client.read_record(Ear.LEFT) == wanted
    assert client.read_record(Ear.LEFT, ObjectKind.ACTIVE) == wanted
    assert client.read_fitting(Ear.RIGHT) is None
    assert device.part.fittings[Ear.RIGHT] == unfitted(Ear.RIGHT)


def test_what_one_turns_reaches_the_sound(client: DeviceClient, device: QuietDevice) -> None:
    push(client, [record(Ear.LEFT)])
    client.volume(-6.0)
    client.program(Program.MUSIC, Ear.LEFT)
    applied = client.applied(Ear.LEFT)
    assert (applied.volume_db, applied.program, applied.noise_reduction) == (-6.0, 2, 0.0)
    client.noise_reduction(Ear.LEFT, 0.25)
    assert device.part.fittings[Ear.LEFT].noise_reduction == 0.25
    client.mute(True)
    assert device.part.output() is Output.MUTED
    client.panic()
    assert client.identify().output is Output.SILENT
    client.mute(False)
    assert device.part.output() is Output.SOUNDS


def test_a_calibration_is_written_while_muted_and_kept_apart(client: DeviceClient) -> None:
    calibration = Calibration(Ear.RIGHT, 120.5, 115.25, 110.0, 1, 1764000000, "coupler")
    with pytest.raises(RefusedError, match="cannot do that in its present state; mute it first"):
        client.write_calibration(calibration)
    client.mute(True)
    client.write_calibration(calibration)
    assert client.read_calibration(Ear.RIGHT) == calibration
    assert client.read_calibration(Ear.LEFT) is None
    push(client, [record(Ear.RIGHT)])
    client.factory_reset(fittings=True, calibration=False)
    assert client.read_fitting(Ear.RIGHT) is None
    assert client.read_calibration(Ear.RIGHT) == calibration
    with pytest.raises(NeuroampError, match="must forget something"):
        client.factory_reset(fittings=False)


def test_a_model_is_uploaded_on_where_it_was_cut_off_and_activated(
    client: DeviceClient, device: QuietDevice, tmp_path: Path
) -> None:
    data = core_file(ModelInfo("none", "none", WEAR, {}, "none"), None)
    path = tmp_path / "model.nam"
    path.write_bytes(data)
    seen: list[int] = []

    def progress(there: int, whole: int) -> None:
        assert whole == len(data)
        seen.append(there)
        if len(seen) == 50:
            client._link.greet()  # another session: the upload goes on

    name = client.upload_model(path, progress)
    assert seen == sorted(seen)
    assert seen[-1] == len(data)
    assert client.model_info(0).state is ModelState.WHOLE
    assert client.activate_model(name) is True
    assert device.settings.model_slot == 0
    with pytest.raises(LinkError, match="does not hold that model; upload it first"):
        client.activate_model(bytes(32))


def test_both_ears_are_pushed_in_one_write_and_verified(
    client: DeviceClient, device: QuietDevice
) -> None:
    both = [record(Ear.LEFT), record(Ear.RIGHT, "N5")]
    applied = push(client, both)
    assert {ear: state.source for ear, state in applied.items()} == dict.fromkeys(
        Ear, Source.STORED
    )
    assert device.settings.stores == [{each.fitting.ear: each.encode() for each in both}]
    with pytest.raises(NeuroampError, match="two fittings for the same ear"):
        push(client, [both[0], both[0]])


def test_a_fitting_that_is_not_kept_is_taken_back(
    client: DeviceClient, device: QuietDevice
) -> None:
    push(client, [record(Ear.LEFT)])
    push(client, [record(Ear.LEFT, "N6")], keep=lambda: False)
    assert device.part.fittings[Ear.LEFT] == record(Ear.LEFT).fitting
    assert len(device.settings.stores) == 1


def test_a_question_that_is_interrupted_ends_the_trial(
    client: DeviceClient, device: QuietDevice
) -> None:
    def interrupt() -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        push(client, [record(Ear.LEFT)], keep=interrupt)
    assert device.part.fittings[Ear.LEFT] == unfitted(Ear.LEFT)
    assert device.settings.stores == []


def test_gains_that_are_not_applied_are_noticed_and_nothing_is_stored(
    client: DeviceClient, device: QuietDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neuroamp_host.fitting.push.FADE_S", 0.1)
    deaf = QuietPart()
    monkeypatch.setattr(device.part, "applied_gains_db", deaf.applied_gains_db)
    with pytest.raises(NotVerifiedError, match=r"applies gains that are \d+\.\d dB off"):
        push(client, [record(Ear.LEFT)])
    assert device.settings.stores == []
    assert device.part.fittings[Ear.LEFT] == unfitted(Ear.LEFT)


def test_a_limit_above_the_fitting_s_is_noticed(
    client: DeviceClient, device: QuietDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neuroamp_host.fitting.push.FADE_S", 0.0)
    applied = client.applied
    monkeypatch.setattr(
        client, "applied", lambda ear: dataclasses.replace(applied(ear), mpo_db_spl=112.0)
    )
    with pytest.raises(NotVerifiedError, match="lets 112 dB SPL out at the left ear"):
        push(client, [record(Ear.LEFT)])
    assert device.settings.stores == []


def test_a_refused_value_is_a_sentence(client: DeviceClient, device: QuietDevice) -> None:
    device.part.refuses = True
    client.stage(record(Ear.LEFT))
    with pytest.raises(RefusedError, match="refused it; look at its event log") as refused:
        client.try_staged(Ear.LEFT, 30)
    assert refused.value.status is Status.REFUSED
    with pytest.raises(NeuroampError, match=r"whole number from 1 to 600"):
        client.try_staged(Ear.LEFT, 601)
    with pytest.raises(RefusedError, match="refused the volume"):
        client.volume(11.0)
    with pytest.raises(SessionLostError, match="nothing staged for the right ear"):
        client.commit(Ear.RIGHT)


def test_a_port_without_a_device_gives_no_answer(tmp_path: Path) -> None:
    silent = PtyPort(tmp_path / "silent")
    with pytest.raises(NoAnswerError, match="did not answer 3 times; check that it is a neuroamp"):
        DeviceClient(silent.name, patience=SHORT)
    # The port was given back.
    with pytest.raises(NoAnswerError):
        DeviceClient(silent.name, patience=SHORT)
    silent.close()


def test_a_device_that_was_started_again_is_greeted_again(tmp_path: Path) -> None:
    first = QuietDevice(tmp_path / "aid")
    first.start()
    with DeviceClient(first.port, patience=LONG) as client:
        push(client, [record(Ear.LEFT)])
        client.stage(record(Ear.RIGHT))
        first.stop()
        with QuietDevice(tmp_path / "aid", storage=first.storage) as second:
            assert client.read_record(Ear.LEFT) == record(Ear.LEFT)
            with pytest.raises(SessionLostError, match="nothing was changed"):
                client.commit(Ear.RIGHT)
            assert second.settings.stores == []


def test_a_device_that_stays_away_is_a_lost_port(tmp_path: Path) -> None:
    device = QuietDevice(tmp_path / "aid")
    device.start()
    with DeviceClient(device.port, patience=SHORT, reconnect_s=0.0) as client:
        device.stop()
        with pytest.raises(PortError, match="is not there; plug the device in"):
            client.identify()


def test_another_program_s_session_is_taken_back(client: DeviceClient, device: QuietDevice) -> None:
    wanted = record(Ear.LEFT)
    client.stage(wanted)
    device.dispatcher.receive(Frame(Kind.REQUEST, Command.HELLO, 0, 77, b"\x01\x01").encode())
    assert client.identify().name == "quiet device"
    with pytest.raises(SessionLostError):
        client.commit(Ear.LEFT)
    assert device.settings.stores == []


def test_a_commit_whose_answer_was_lost_is_looked_up(
    client: DeviceClient, device: QuietDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = record(Ear.LEFT)
    client.stage(wanted)
    store = device.settings.store_fittings

    def store_and_forget_the_session(records: dict[Ear, bytes]) -> None:
        store(records)
        device.dispatcher._session = 0
        raise SystemError  # the device dies here, its reply with it

    receive = device.dispatcher.receive

    def survive(data: bytes) -> bytes:
        try:
            return receive(data)
        except SystemError:
            return b""

    monkeypatch.setattr(device.settings, "store_fittings", store_and_forget_the_session)
    monkeypatch.setattr(device.dispatcher, "receive", survive)
    client._link._patience = SHORT
    assert client.commit(Ear.LEFT) == 1
    assert len(device.settings.stores) == 1


def test_several_threads_share_a_client(client: DeviceClient) -> None:
    push(client, [record(Ear.LEFT), record(Ear.RIGHT, "N5")])
    wrong: list[object] = []

    def ask(ear: Ear, expected: FittingRecord) -> None:
        for _ in range(20):
            if client.read_record(ear) != expected:
                wrong.append(ear)
            client.levels()

    threads = [
        threading.Thread(target=ask, args=(Ear.LEFT, record(Ear.LEFT))),
        threading.Thread(target=ask, args=(Ear.RIGHT, record(Ear.RIGHT, "N5"))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_session_is_renewed_before_its_numbers_are_used_up(client: DeviceClient) -> None:
    client._link._sequence = 65_533
    for _ in range(4):
        client.identify()
    assert client._link.sequence < 10
    client._link._sequence = 65_000
    push(client, [record(Ear.LEFT)])
    assert client.read_record(Ear.LEFT) == record(Ear.LEFT)


def test_answers_of_garbage_are_sentences(tmp_path: Path) -> None:
    """A device whose every answer is noise: an error, and no exception of another kind."""
    port = PtyPort(tmp_path / "noise")
    stop = threading.Event()

    def babble() -> None:
        while not stop.is_set():
            if port.read(0.01):
                port.write(os.urandom(200))

    thread = threading.Thread(target=babble)
    thread.start()
    with pytest.raises(LinkError):
        DeviceClient(port.name, patience=SHORT)
    stop.set()
    thread.join()
    port.close()
