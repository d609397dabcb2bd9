"""A run can be interrupted anywhere; its data, seeds and mistakes are under control."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from neuroamp.audiogram import BISGAARD, Ear
from neuroamp.errors import NeuroampError
from neuroamp.features import Features, Magnitudes
from neuroamp.features import GainsInBands as SmoothedOnDevice
from neuroamp.profile import PAPER, PAPER_BANDS, WEAR
from neuroamp.transform import stft
from neuroamp.wdrc import Wdrc
from neuroamp_host.cli import main
from neuroamp_host.corpora.mixing import MixtureConfig, MixtureSampler
from neuroamp_host.enhancement.enhance import load_enhancer
from neuroamp_host.enhancement.nets import ENHANCERS
from neuroamp_host.exporting import load_for_device
from neuroamp_host.networks.registry import NETS, build
from neuroamp_host.prescription.fit import make_fitting
from neuroamp_host.training import checkpoint
from neuroamp_host.training.config import TrainingConfig, load_config
from neuroamp_host.training.examples import Batch, make_batch, prefetch, sample_listener
from neuroamp_host.training.loop import _draw, _keep_config, train
from neuroamp_host.training.objectives import GainsInBands, MagnitudeObjective, objective_for
from neuroamp_host.training.quantised import quantised_weights
from neuroamp_host.training.team import Team

REPOSITORY = Path(__file__).parents[2]
DATA = Path(os.environ.get("NEUROAMP_DATA", REPOSITORY.parent / "shared" / "data"))
needs_data = pytest.mark.skipif(not DATA.exists(), reason=f"no audio data at {DATA}")

TINY = TrainingConfig(
    net="wear", batch=2, seconds=0.5, steps=4, dev_every=2, dev_batches=1, warmup_steps=1
)


@needs_data
def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    whole = checkpoint.load(train(TINY, DATA, tmp_path / "whole").with_name("last.pt"))
    saves = 0
    real_save = checkpoint.save

    def save_then_stop(path: Path, content: dict) -> None:
        nonlocal saves
        real_save(path, content)
        saves += path.name == "last.pt"
        if saves == 1 and path.name == "last.pt":
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", save_then_stop)
    with pytest.raises(KeyboardInterrupt):
        train(TINY, DATA, tmp_path / "halves")
    resumed = checkpoint.load(train(TINY, DATA, tmp_path / "halves").with_name("last.pt"))
    assert resumed["step"] == whole["step"] == 4
    for name, weight in whole["state_dict"].items():
        assert torch.equal(weight, resumed["state_dict"][name]), name
    log = (tmp_path / "halves" / "log.csv").read_text().splitlines()
    assert [line.split(",")[:2] for line in log[1:]] == [
        ["2", "train"],
        ["2", "dev"],
        ["4", "train"],
        ["4", "dev"],
    ]


@pytest.fixture(scope="module")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain folder of synthetic talkers and noises, for both splits."""
    root = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(1)
    time = np.arange(32000) / 16000
    for split in ("train", "dev"):
        for kind in ("speech", "noise"):
            for name in "ab":
                folder = root / kind / split / name
                folder.mkdir(parents=True)
                sound = rng.normal(0.0, 0.05, time.size)
                if kind == "speech":
                    sound *= 1.0 + np.sin(2.0 * np.pi * 4.0 * time)
                soundfile.write(folder / "one.wav", sound, 16000)
    return root


@pytest.mark.parametrize("name", sorted(NETS))
@pytest.mark.parametrize("causal", [True, False])
def test_every_net_trains(name: str, causal: bool, small_corpus: Path, tmp_path: Path) -> None:
    if not causal and not NETS[name].can_hear_the_future:
        pytest.skip("this net is always causal")
    torch.set_num_threads(1)
    config = TrainingConfig(
        net=name,
        causal=causal,
        batch=1,
        seconds=0.5,
        steps=5,
        dev_every=5,
        dev_batches=1,
        warmup_steps=1,
        quantised_steps=1,
    )
    best = train(config, small_corpus, tmp_path / "run")
    net = checkpoint.load_net(best)
    assert net.causal == causal
    torch.manual_seed(config.seed)
    start = build(name, causal).state_dict()
    still = [key for key, value in net.state_dict().items() if torch.equal(value, start[key])]
    # A key's bias adds the same to all scores of a query, so that its gradient is rounding.
    assert [key for key in still if not key.endswith("attention.key.bias")] == []


def test_a_run_begun_before_a_setting_existed_goes_on(tmp_path: Path) -> None:
    _keep_config(TINY, tmp_path)
    path = tmp_path / "config.json"
    older = json.loads(path.read_text())
    del older["causal"]
    path.write_text(json.dumps(older))
    _keep_config(TINY, tmp_path)
    with pytest.raises(NeuroampError, match="another config"):
        _keep_config(dataclasses.replace(TINY, seed=2), tmp_path)


@needs_data
def test_a_folder_with_a_run_of_another_config_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(NeuroampError, match="another config"):
        train(TINY, DATA, tmp_path)


def test_a_net_with_bands_is_trained_for_the_gains_that_the_device_makes_of_its_output() -> None:
    rng = np.random.default_rng(5)
    spectra = stft(PAPER_BANDS, rng.normal(0.0, 0.05, 6000))
    features = Features(PAPER_BANDS)(spectra)
    output = features + rng.normal(0.0, 0.1, features.shape)
    found = GainsInBands(PAPER_BANDS)(
        torch.from_numpy(output[None]).float(), torch.from_numpy(features[None]).float()
    )[0]
    heard, wanted = np.abs(spectra), Magnitudes(PAPER_BANDS)(output)
    gain_db = 20.0 * np.log10(np.maximum(wanted, 1e-12) / heard)
    smooth_db = SmoothedOnDevice(PAPER_BANDS)(gain_db, spectra)
    expected = Features(PAPER_BANDS)(spectra * 10.0 ** (smooth_db / 20.0))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-3)
    config = dataclasses.replace(TINY, net="paper-lstm", smooth_gains=True)
    objective = objective_for(build("paper-lstm"), config)
    assert isinstance(objective, MagnitudeObjective)
    assert objective.in_bands is not None


def test_the_target_of_denoising_is_the_clean_signals_amplification() -> None:
    rng = np.random.default_rng(0)
    clean = rng.standard_normal((1, 8000)).astype(np.float32) * 0.02
    noisy = clean + rng.standard_normal((1, 8000)).astype(np.float32) * 0.02
    listener = sample_listener(rng)
    for profile in (WEAR, PAPER):
        denoising = make_batch(profile, clean, noisy, [listener], "nal-r")
        alone = make_batch(profile, clean, clean, [listener], "nal-r")
        amplifying = make_batch(profile, clean, noisy, [listener], "nal-r", denoise=False)
        assert torch.equal(denoising.target, alone.target)
        assert not torch.equal(denoising.target, amplifying.target)
        assert torch.equal(denoising.features, amplifying.features)
        torch.testing.assert_close(amplifying.target, amplifying.prescribed)


def test_the_spectra_and_gains_are_the_devices_own() -> None:
    rng = np.random.default_rng(0)
    noisy = rng.standard_normal((2, 8000)).astype(np.float32) * 0.02
    listeners = [BISGAARD["N3"], BISGAARD["S2"]]
    for profile in (WEAR, PAPER):
        batch = make_batch(profile, noisy, noisy, listeners, "nal-r")
        for i, listener in enumerate(listeners):
            spectra = stft(profile, noisy[i], every=profile.hops_per_step)
            compressor = Wdrc(profile, make_fitting(listener, Ear.LEFT, rule="nal-r"))
            steadiness = 1.0 if profile.output == "band-gain" else 0.0
            gains_db = [compressor.step(row, steadiness) for row in spectra]
            expected = 10.0 ** (np.array(gains_db) / 20.0) * spectra
            largest = float(np.abs(expected).max())
            np.testing.assert_allclose(batch.prescribed[i], expected, atol=1e-5 * largest)


def test_a_steady_target_has_the_compressors_level_and_none_of_its_changes() -> None:
    rng = np.random.default_rng(0)
    loud = np.repeat([1.0, 0.1, 1.0, 0.1], 4000)[None].astype(np.float32)
    clean = rng.standard_normal((1, 16000)).astype(np.float32) * 0.05 * loud
    listener = BISGAARD["N4"]
    moving = make_batch(PAPER, clean, clean, [listener], "nal-r")
    steady = make_batch(PAPER, clean, clean, [listener], "nal-r", steady=1.0)

    def gain_db(batch: Batch) -> torch.Tensor:
        return 20.0 * torch.log10(batch.target.abs() / batch.clean.abs())[0, :, 20:200]

    assert gain_db(steady).std(dim=0).max() < 0.01
    assert gain_db(moving).std(dim=0).min() > 0.5
    power = [float(batch.target[0, :, 20:200].abs().square().sum()) for batch in (steady, moving)]
    assert 10.0 * np.log10(power[0] / power[1]) == pytest.approx(0.0, abs=1.0)


def test_rounded_weights_are_what_eight_bits_hold_and_the_exact_ones_come_back() -> None:
    net = torch.nn.Linear(40, 8)
    exact = net.weight.detach().clone()
    with quantised_weights(net):
        scale = exact.abs().amax(dim=1, keepdim=True) / 127.0
        codes = net.weight.detach() / scale
        torch.testing.assert_close(codes, codes.round(), atol=1e-3, rtol=0.0)
        assert (net.weight - exact).abs().max() <= scale.max() / 2 * 1.001
        net(torch.ones(1, 40)).sum().backward()
    assert torch.equal(net.weight, exact)
    assert net.weight.grad is not None
    with quantised_weights(net, active=False):
        assert torch.equal(net.weight, exact)


def test_several_listeners_hear_each_mixture(small_corpus: Path) -> None:
    config = dataclasses.replace(TINY, batch=6, listeners=3, seconds=0.25)
    draw = _draw(config, MixtureSampler(small_corpus, "train", config.seconds), 0, 1)
    assert draw.noisy_pa.shape[0] == draw.audiogram.shape[0] == 6
    for sounds in (draw.clean_pa, draw.noisy_pa):
        first, second = sounds[:3], sounds[3:]
        assert torch.equal(first, first[:1].expand_as(first))
        assert torch.equal(second, second[:1].expand_as(second))
        assert not torch.equal(first, second)
    assert len({tuple(row) for row in draw.audiogram.tolist()}) > 1


def test_prefetching_keeps_the_order_and_hands_over_errors() -> None:
    def make(index: int) -> torch.Tensor:
        if index == 5:
            raise NeuroampError("the fifth is missing; add it.")
        return torch.tensor(index)

    items = prefetch(make, 2, 9)  # type: ignore[arg-type]
    assert [int(next(items)) for _ in range(3)] == [2, 3, 4]
    with pytest.raises(NeuroampError, match="fifth"):
        next(items)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("net = 'wear'\nsteps = 'many'", "steps"),
        ("net = 'ear'", "ear"),
        ("net = 'wear'\nspeed = 3", "unknown key 'speed'"),
        ("steps = 10", "no `net`"),
        ("net = ", "not TOML"),
        ("net = 'wear'\nbatch = 0", "above 0"),
        ("net = 'wear'\nbatch = 9\nlisteners = 2", "multiple of listeners"),
        ("net = 'wear'\ncausal = false", "always causal"),
    ],
)
def test_a_wrong_config_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(NeuroampError, match=message):
        load_config(path)


def test_a_good_config_is_read(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("net = 'wear'\nlearning_rate = 1\ndenoise = false\n")
    assert load_config(path) == TrainingConfig(net="wear", learning_rate=1, denoise=False)


@pytest.mark.parametrize("damage", ["empty", "cut", "other", "missing"])
def test_a_damaged_checkpoint_is_one_sentence(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "run.pt"
    checkpoint.save(path, {"net": "wear", "state_dict": {}})
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:100])
    elif damage == "missing":
        path.unlink()
    with pytest.raises(NeuroampError):
        checkpoint.load_net(path)


SMALL = TrainingConfig(
    net="paper-lstm-basic",
    batch=4,
    seconds=0.5,
    steps=4,
    dev_every=2,
    dev_batches=1,
    warmup_steps=1,
)


@pytest.mark.parametrize("name", sorted(ENHANCERS))
def test_every_enhancer_trains(name: str, small_corpus: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    best = train(dataclasses.replace(SMALL, net=name), small_corpus, tmp_path / "run")
    torch.manual_seed(SMALL.seed)
    start = ENHANCERS[name]().state_dict()
    now = checkpoint.load(best)["state_dict"]
    # A bias before a normalisation changes nothing, so that its gradient is rounding.
    assert any(not torch.equal(value, start[key]) for key, value in now.items())


def test_a_run_begins_with_another_runs_weights(small_corpus: Path, tmp_path: Path) -> None:
    first = train(SMALL, small_corpus, tmp_path / "first")
    config = dataclasses.replace(
        SMALL, steps=1, dev_every=1, learning_rate=1e-12, start=str(first), heard=True
    )
    second = train(config, small_corpus, tmp_path / "second")
    before, after = (checkpoint.load(path)["state_dict"] for path in (first, second))
    for name, value in before.items():
        assert torch.allclose(value, after[name], atol=1e-9)


def test_two_processes_train_the_net_that_one_does(small_corpus: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    lines = [
        f"{key} = {json.dumps(value)}"
        for key, value in dataclasses.asdict(SMALL).items()
        if value is not None
    ]
    config.write_text("\n".join(lines), encoding="utf-8")
    command = [str(config), "--data", str(small_corpus), "--out"]
    assert main(["train", *command, str(tmp_path / "one")]) == 0
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
    ]
    subprocess.run(
        [
            *torchrun,
            "--nproc-per-node",
            "2",
            str(Path(sys.executable).with_name("neuroamp")),
            "train",
            *command,
            str(tmp_path / "two"),
        ],
        check=True,
        capture_output=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    one, two = (checkpoint.load(tmp_path / run / "last.pt")["state_dict"] for run in ("one", "two"))
    moved = checkpoint.load(tmp_path / "one" / "best.pt")["step"]
    assert moved > 0
    for name, value in one.items():
        assert torch.allclose(value, two[name], atol=1e-5), name
    rows = [(tmp_path / run / "log.csv").read_text().splitlines() for run in ("one", "two")]
    assert len(rows[0]) == len(rows[1]) == 5


def test_a_team_that_cannot_share_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(NeuroampError, match="no equal parts for 3"):
        Team(SMALL, "cpu")
    with pytest.raises(NeuroampError, match="cpu or cuda"):
        Team(SMALL, "tpu")


def test_noisy_speech_comes_through_either_enhancer_and_nothing_else_does(
    small_corpus: Path,
) -> None:
    """The paper's third condition (section IV.A); the mixtures are those of a run without it."""
    plain = dataclasses.replace(SMALL, batch=24, clean_share=0.3)
    enhanced = dataclasses.replace(plain, enhanced_share=1.0)
    mixtures = MixtureSampler(
        small_corpus, "train", plain.seconds, plain.seed, MixtureConfig(clean_share=0.3)
    )
    before, after = (_draw(config, mixtures, 0, 5) for config in (plain, enhanced))
    assert torch.equal(before.clean_pa, after.clean_pa)
    through = {name: load_enhancer(name).enhance for name in ENHANCERS}
    heard = set()
    for clean, noisy, given in zip(before.clean_pa, before.noisy_pa, after.noisy_pa, strict=True):
        noisy_pa = noisy.numpy().astype(np.float64)
        made = {name: enhance(noisy_pa).astype(np.float32) for name, enhance in through.items()}
        found = [name for name, values in made.items() if np.array_equal(values, given)]
        is_noisy_speech = clean.any() and not torch.equal(clean, noisy)
        assert bool(found) == is_noisy_speech
        assert torch.equal(noisy, given) == (not is_noisy_speech)
        heard.update(found)
    assert heard == set(ENHANCERS)
    assert not torch.equal(before.noisy_pa, after.noisy_pa)


@pytest.mark.parametrize(("net", "share"), [("wear", 1.5), ("wear", -0.1), ("enhancer-lstm", 0.5)])
def test_an_enhanced_share_that_cannot_be_is_one_sentence(net: str, share: float) -> None:
    with pytest.raises(NeuroampError, match="enhanced_share"):
        TrainingConfig(net=net, enhanced_share=share)


def test_a_net_trained_with_smooth_gains_is_loaded_and_exported_with_them(
    small_corpus: Path, tmp_path: Path
) -> None:
    small = dataclasses.replace(SMALL, net="paper-lstm-basic", denoise=False, smooth_gains=True)
    best = train(small, small_corpus, tmp_path / "run")
    assert checkpoint.load_net(best).profile == PAPER_BANDS
    plain = train(dataclasses.replace(small, smooth_gains=False), small_corpus, tmp_path / "plain")
    assert checkpoint.load_net(plain).profile == PAPER
    assert load_for_device(plain, None, smooth_gains=True).profile == PAPER_BANDS
    with pytest.raises(NeuroampError, match="gives no magnitudes"):
        dataclasses.replace(SMALL, net="wear", smooth_gains=True)
