"""The nets: published sizes, agreement with torch's own LSTM, bounded states, exact gradients."""

import pytest
import torch
from neuroamp_host.networks.bounded_lstm import CELL_BOUND, BoundedLstm, _Sequence
from neuroamp_host.networks.lstm import NETS, build, parameter_count


@pytest.mark.parametrize(
    ("name", "count"), [("paper-lstm", 1_134_193), ("paper-lstm-basic", 498_224)]
)
def test_the_papers_nets_have_the_published_number_of_parameters(name: str, count: int) -> None:
    assert parameter_count(build(name)) == count


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


@pytest.mark.parametrize("name", sorted(NETS))
def test_steps_equal_the_whole_sequence_and_see_no_future(name: str) -> None:
    torch.manual_seed(3)
    net = build(name).eval()
    features = torch.rand(1, 12, net.profile.feature_count)
    audiogram = torch.rand(1, 6)
    states = [torch.zeros(shape) for shape in net.state_shapes.values()]
    with torch.no_grad():
        whole = net(features, audiogram)
        changed = features.clone()
        changed[:, 8:] += 1.0
        assert torch.equal(net(changed, audiogram)[:, :8], whole[:, :8])
        for t in range(12):
            output, *states = net.step(features[:, t], audiogram, *states)
            torch.testing.assert_close(output, whole[:, t], rtol=1e-5, atol=1e-6)


def test_an_untrained_wearable_net_leaves_the_prescription_alone() -> None:
    torch.manual_seed(4)
    net = build("wear")
    profile = net.profile
    output = net(torch.randn(1, 5, 64), torch.rand(1, 6))
    gain_db = profile.gain_min_db + (profile.gain_max_db - profile.gain_min_db) * output
    assert gain_db.abs().max() < 1.0
