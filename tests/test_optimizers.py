"""Adam and Muon together: they move the parameters themselves, and resume exactly."""

import copy

import pytest
import torch
from torch import nn

from model.training.optimizers import Optimizers, ParameterGroup, as_matrix


def make(channels_last: bool = False) -> tuple[nn.Conv2d, nn.Linear]:
    torch.manual_seed(0)
    convolution, linear = nn.Conv2d(4, 6, 3, bias=False), nn.Linear(3, 2)
    if channels_last:
        convolution = convolution.to(memory_format=torch.channels_last)
    return convolution, linear


def optimize(convolution: nn.Conv2d, linear: nn.Linear) -> Optimizers:
    groups = [
        ParameterGroup([convolution.weight], 5.0, "muon"),
        ParameterGroup(list(linear.parameters())),
    ]
    return Optimizers(groups, 1e-2)


def step(optimizers: Optimizers, convolution: nn.Conv2d, linear: nn.Linear, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    optimizers.zero_grad()
    loss = (convolution(torch.rand(2, 4, 8, 8, generator=generator)).square()).mean()
    loss = loss + linear(torch.rand(5, 3, generator=generator)).square().mean()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizers.step(1e-2)


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_muon_step_is_an_orthogonal_matrix(channels_last: bool) -> None:
    convolution, linear = make(channels_last)
    before = convolution.weight.detach().clone()
    step(optimize(convolution, linear), convolution, linear, 0)
    moved = (before - convolution.weight.detach()).flatten(1)  # (6, 36)
    scales = torch.linalg.svdvals(moved) / 5e-2
    # Newton-Schulz leaves singular values about 1, not exactly 1.
    assert bool(((scales > 0.5) & (scales < 1.5)).all())


def test_memory_order_does_not_matter() -> None:
    results = []
    for channels_last in (False, True):
        convolution, linear = make(channels_last)
        optimizers = optimize(convolution, linear)
        for seed in range(3):
            step(optimizers, convolution, linear, seed)
        results.append(convolution.weight.detach().contiguous())
    torch.testing.assert_close(*results, rtol=0, atol=2e-3)


def test_state_resumes_exactly() -> None:
    convolution, linear = make()
    optimizers = optimize(convolution, linear)
    for seed in range(2):
        step(optimizers, convolution, linear, seed)
    again = copy.deepcopy((convolution, linear))
    resumed = optimize(*again)
    copies = dict(zip(optimizers.parameters, resumed.parameters, strict=True))
    for parameter, twin in copies.items():
        kept = {key: value.clone() for p, key, value in optimizers.state() if p is parameter}
        assert {key.partition(".")[0] for key in kept} <= {"adam", "muon"}
        assert kept
        resumed.load(twin, kept)
    step(optimizers, convolution, linear, 9)
    step(resumed, *again, 9)
    assert torch.equal(convolution.weight, again[0].weight)
    assert torch.equal(linear.weight, again[1].weight)


def test_a_vector_is_no_matrix() -> None:
    with pytest.raises(ValueError, match="no matrix"):
        as_matrix(torch.zeros(3))
