"""The demo: a scene at stated levels, and what the command writes and prints."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from neuroamp.audiogram import Ear, Listener, bisgaard
from neuroamp.errors import NeuroampError
from neuroamp.units import level_db_spl
from neuroamp_host.cli import main
from neuroamp_host.commands import demo
from neuroamp_host.corpora.levels import active_level_db_spl


@pytest.mark.parametrize("snr_db", [-5.0, 4.0])
def test_the_scene_has_the_stated_levels_while_there_is_speech(snr_db: float) -> None:
    scene = demo.make_scene(snr_db)
    lead = demo.LEAD_SAMPLES
    assert not scene.speech_pa[:lead].any()
    assert scene.speech_pa.shape == scene.noise_pa.shape
    assert active_level_db_spl(scene.speech_pa[lead:]) == pytest.approx(65.0, abs=0.05)
    assert level_db_spl(scene.noise_pa[lead:]) == pytest.approx(65.0 - snr_db, abs=0.01)
    np.testing.assert_array_equal(scene.mixture_pa, scene.speech_pa + scene.noise_pa)


@pytest.mark.parametrize("snr_db", [float("nan"), 300.0])
def test_an_snr_out_of_range_is_refused_in_a_sentence(snr_db: float) -> None:
    with pytest.raises(NeuroampError, match="from -10 to 30 dB"):
        demo.make_scene(snr_db)


def test_the_ear_shown_is_one_that_the_listener_has() -> None:
    n3 = bisgaard("N3")
    assert demo.choose_ear(Listener("both", left=n3, right=n3), None) is Ear.RIGHT
    assert demo.choose_ear(Listener("left", left=n3), None) is Ear.LEFT
    assert demo.choose_ear(Listener("both", left=n3, right=n3), "left") is Ear.LEFT


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's folder after a run on the first 1.5 s of its sentence."""
    out = tmp_path_factory.mktemp("demo")
    whole = demo.make_scene

    def short(snr_db: float) -> demo.Scene:
        scene, length = whole(snr_db), demo.LEAD_SAMPLES + 24000
        return demo.Scene(scene.speech_pa[:length], scene.noise_pa[:length])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "make_scene", short)
        assert main(["demo", "--audiogram", "S2", "--out", str(out)]) == 0
    return out


def test_it_writes_the_sounds_on_one_scale_and_unclipped(shown: Path) -> None:
    before, rate = soundfile.read(shown / "before.wav")
    after, _ = soundfile.read(shown / "after-nal-r-wdrc.wav")
    assert rate == 16000
    assert before.shape == after.shape == (40000,)
    assert np.abs(after).max() < 1.0
    assert 5.0 < level_db_spl(after) - level_db_spl(before) < 40.0


def test_it_draws_a_picture_of_some_size(shown: Path) -> None:
    png = (shown / "demo.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
    assert width > 1000
    assert height > 600


def test_a_model_asked_for_by_name_must_exist(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--model", "no-such-model", "--out", str(tmp_path)]) == 2
    assert "no-such-model" in capsys.readouterr().err
