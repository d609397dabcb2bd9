"""The nets: published sizes, streaming equal to the whole, causality, exact gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from neuroamp.errors import NeuroampError
from neuroamp.profile import PAPER
from neuroamp_host.networks.bounded_lstm import CELL_BOUND, BoundedLstm, TwoWayLstm, _Sequence
from neuroamp_host.networks.convolution import ConvLayer
from neuroamp_host.networks.net import Net, parameter_count
from neuroamp_host.networks.registry import CONTEXT, NETS, build, cost
from neuroamp_host.networks.transformer import TransformerNet, TransformerShape

PAPERS = sorted(name for name, design in NETS.items() if design.published)
LONGER_THAN_THE_CONTEXT = CONTEXT + 16


@pytest.mark.parametrize("name", PAPERS)
@pytest.mark.parametrize("causal", [True, False])
def test_the_papers_nets_have_its_number_of_parameters_within_a_percent(
    name: str, causal: bool
) -> None:
    published = {
        "paper-cnn-basic": 498_411,
        "paper-cnn": 672_235,
        "paper-lstm-basic": 498_224,
        "paper-lstm": 1_134_193,
        "paper-crnn-basic": 496_408,
        "paper-crnn": 1_503_595,
        "paper-transformer-basic": 499_884,
        "paper-transformer": 2_456_398,
    }
    count = parameter_count(build(name, causal))
    assert count == pytest.approx(published[name], rel=0.01)
    if causal and "lstm" in name:
        assert count == published[name]
    assert NETS[name].published == published[name]


def test_the_wearable_net_fits_in_300_kilobytes_of_int8() -> None:
    assert parameter_count(build("wear")) <= 300_000


def test_layer_equals_torchs_lstm_where_the_bound_does_not_act() -> None:
    torch.manual_seed(0)
    ours = BoundedLstm(7, 5)
    theirs = torch.nn.LSTM(7, 5, batch_first=True)
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(ours.input_weight)
        theirs.weight_hh_l0.copy_(ours.recurrent_weight)
        theirs.bias_ih_l0.copy_(ours.bias)
        theirs.bias_hh_l0.zero_()
    signal = torch.randn(3, 20, 7)
    outputs, (hidden, cell) = ours(signal)
    expected, (expected_hidden, expected_cell) = theirs(signal)
    assert expected_cell.abs().max() < CELL_BOUND
    torch.testing.assert_close(outputs, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(hidden, expected_hidden[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(cell, expected_cell[0], rtol=1e-5, atol=1e-6)


def test_written_out_gradients_equal_numeric_ones_with_and_without_the_bound() -> None:
    torch.manual_seed(1)
    leaf = {"dtype": torch.double, "requires_grad": True}
    drive = torch.randn(6, 2, 12, **leaf)
    # The first unit is driven into the bound, the others stay free.
    push = torch.zeros(12, dtype=torch.double)
    push[[0, 3, 6]] = 8.0
    recurrent = torch.randn(12, 3, **leaf)
    hidden, cell = torch.randn(2, 3, **leaf), torch.randn(2, 3, **leaf)

    def layer(d: torch.Tensor, *rest: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return _Sequence.apply(d + push, *rest)

    assert torch.autograd.gradcheck(layer, (drive, recurrent, hidden, cell))
    assert layer(drive, recurrent, hidden, cell)[2].abs().max() == CELL_BOUND


def test_states_stay_bounded_however_long_and_loud_the_input() -> None:
    torch.manual_seed(2)
    net = build("wear")
    states = [torch.zeros(shape) for shape in net.state_shapes.values()]
    with torch.no_grad():
        for _ in range(300):
            output, *states = net.step(torch.full((1, 64), 50.0), torch.ones(1, 6), *states)
    for name, state in zip(net.state_shapes, states, strict=True):
        assert state.abs().max() <= (CELL_BOUND if name.startswith("cell") else 1.0)
    assert output.min() >= 0.0
    assert output.max() <= 1.0


def heard_by(net: Net, batch: int, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(batch, steps, net.profile.feature_count), torch.rand(batch, 6)


@torch.no_grad()
def stepped(net: Net, features: torch.Tensor, audiogram: torch.Tensor) -> torch.Tensor:
    """A stream [steps, features] frame by frame, from states of zero."""
    states = [torch.zeros(shape) for shape in net.state_shapes.values()]
    outputs = []
    for row in features:
        output, *states = net.step(row[None], audiogram[None], *states)
        outputs.append(output[0])
        shapes = [tuple(state.shape) for state in states]
        assert shapes == list(net.state_shapes.values())
    return torch.stack(outputs)


@pytest.mark.parametrize("name", sorted(NETS))
def test_steps_equal_the_whole_sequence_longer_than_any_context(name: str) -> None:
    torch.manual_seed(3)
    net = build(name).eval()
    features, audiogram = heard_by(net, 1, LONGER_THAN_THE_CONTEXT)
    with torch.no_grad():
        whole = net(features, audiogram)[0]
    assert whole.std(dim=0).max() > 1e-3  # outputs that move
    torch.testing.assert_close(stepped(net, features[0], audiogram[0]), whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", sorted(NETS))
@given(present=st.integers(0, 19), seed=st.integers(0, 99))
@settings(max_examples=5, deadline=None)
def test_the_future_does_not_change_the_past(name: str, present: int, seed: int) -> None:
    torch.manual_seed(seed)
    net = build(name).eval()
    features, audiogram = heard_by(net, 1, 20)
    changed = features.clone()
    changed[:, present + 1 :] += 1.0
    with torch.no_grad():
        before, after = net(features, audiogram), net(changed, audiogram)
    torch.testing.assert_close(after[:, : present + 1], before[:, : present + 1])
    if present < 19:
        assert not torch.allclose(after[:, present + 1], before[:, present + 1])


@pytest.mark.parametrize("name", PAPERS)
def test_the_net_that_is_not_causal_hears_the_future_and_cannot_step(name: str) -> None:
    torch.manual_seed(4)
    net = build(name, causal=False).eval()
    features, audiogram = heard_by(net, 1, 12)
    changed = features.clone()
    changed[:, 6:] += 1.0
    with torch.no_grad():
        before, after = net(features, audiogram), net(changed, audiogram)
    assert not torch.allclose(after[:, 5], before[:, 5])
    with pytest.raises(NeuroampError, match="hears the future"):
        _ = net.state_shapes


def test_a_layer_that_runs_both_ways_is_one_forwards_and_one_backwards() -> None:
    torch.manual_seed(5)
    layer = TwoWayLstm(4, 3)
    signal = torch.randn(2, 7, 4)
    outputs, _ = layer(signal)
    assert torch.equal(outputs[..., :3], layer.forwards(signal)[0])
    reversed_outputs, _ = layer.backwards(signal.flip(1))
    assert torch.equal(outputs[..., 3:].flip(1), reversed_outputs)


@pytest.mark.parametrize("name", sorted(NETS))
@pytest.mark.parametrize("causal", [True, False])
def test_the_signals_of_a_batch_do_not_touch(name: str, causal: bool) -> None:
    if not causal and not NETS[name].can_hear_the_future:
        pytest.skip("this net is always causal")
    torch.manual_seed(6)
    net = build(name, causal).eval()
    features, audiogram = heard_by(net, 3, 10)
    with torch.no_grad():
        together = net(features, audiogram)
        for i in range(3):
            alone = net(features[i : i + 1], audiogram[i : i + 1])[0]
            torch.testing.assert_close(alone, together[i], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", sorted(NETS))
def test_every_output_hears_the_listener(name: str) -> None:
    torch.manual_seed(7)
    net = build(name).eval()
    features, audiogram = heard_by(net, 1, 4)
    with torch.no_grad():
        difference = (net(features, audiogram) - net(features, audiogram + 0.3))[0].abs()
    # An untrained ReLU keeps some magnitudes at zero.
    assert (difference > 1e-7).float().mean() > 0.25


def test_the_attention_forgets_what_is_further_back_than_its_context() -> None:
    torch.manual_seed(8)
    shape = TransformerShape(4, 16, blocks=1, heads=4, feed_forward=8, context=5)
    net = TransformerNet(PAPER, shape).eval()
    features, audiogram = heard_by(net, 1, 12)
    changed = features.clone()
    changed[:, 3] += 1.0
    with torch.no_grad():
        difference = (net(changed, audiogram) - net(features, audiogram))[0].abs().amax(dim=1)
    assert (difference[3:8] > 0.0).all()
    assert (difference[:3] == 0.0).all()
    assert (difference[8:] == 0.0).all()


def test_a_convolution_equals_its_written_out_sum() -> None:
    torch.manual_seed(9)
    layer = ConvLayer(inputs=2, filters=3, width=7)
    maps = torch.randn(1, 2, 3, 7)
    kernel = layer.weight.reshape(3, 3, 3, 2)  # filter, frame, position, input
    with torch.no_grad():
        found = layer(maps)[0, :, 0]
        for f in range(3):
            for place in range(layer.output_width):
                total = layer.bias[f].clone()
                for frame in range(3):
                    for k in range(3):
                        at = 3 * place - 1 + k
                        if 0 <= at < 7:
                            total += kernel[f, frame, k] @ maps[0, :, frame, at]
                assert found[f, place] == pytest.approx(float(total.clamp(min=0.0)), abs=1e-5)


@pytest.mark.parametrize("name", PAPERS)
def test_the_cost_is_counted(name: str) -> None:
    net = build(name)
    found = cost(net)
    assert found.parameters == parameter_count(net)
    assert found.state_bytes == 4 * sum(width for _, width in net.state_shapes.values())
    if "lstm" in name:  # every weight but the biases is multiplied once a frame
        weights = sum(p.numel() for p in net.parameters() if p.dim() == 2)
        assert found.macs_per_step == weights
    else:
        assert found.macs_per_step > found.parameters


def test_the_wearable_net_is_always_causal_and_unknown_nets_are_refused() -> None:
    with pytest.raises(NeuroampError, match="always causal"):
        build("wear", causal=False)
    with pytest.raises(NeuroampError, match="no net 'ear'"):
        build("ear")


def test_an_untrained_wearable_net_leaves_the_prescription_alone() -> None:
    torch.manual_seed(4)
    net = build("wear")
    profile = net.profile
    output = net(torch.randn(1, 5, 64), torch.rand(1, 6))
    gain_db = profile.gain_min_db + (profile.gain_max_db - profile.gain_min_db) * output
    assert gain_db.abs().max() < 1.0
