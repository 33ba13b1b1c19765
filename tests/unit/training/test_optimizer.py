"""The optimizer takes PyTorch's steps, and does not import what PyTorch's own class imports."""

from __future__ import annotations

import subprocess
import sys
from copy import deepcopy

import pytest
import torch
from torch import Tensor

from training.model import Shape, TabularNet, parameter_groups
from training.optimizer import AdamW, AveragedNet

SHAPE = Shape(
    numeric=3,
    missing=(1,),
    cardinalities=(4, 7),
    embedding_size=4,
    hidden_size=8,
    hidden_layers=2,
    dropout=0.0,
    members=2,
)


def loss(net: TabularNet, seed: int, dtype: torch.dtype) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    numeric, categories = torch.randn(16, 3, generator=random), torch.randint(0, 4, (16, 2), generator=random)
    result: Tensor = net(numeric.to(dtype), categories).square().mean()
    return result


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_steps_are_pytorchs_bit_by_bit_also_after_a_resume(dtype: torch.dtype) -> None:
    ours = TabularNet(SHAPE).to(dtype)
    theirs = deepcopy(ours)
    optimizer = AdamW(parameter_groups(ours, 0.1))
    reference = torch.optim.AdamW(parameter_groups(theirs, 0.1), fused=True)
    for step in range(6):
        if step == 3:
            state = deepcopy(optimizer.state_dict())
            optimizer = AdamW(parameter_groups(ours, 0.1))
            optimizer.load_state_dict(state)
        rate = 0.01 * (step + 1)
        loss(ours, step, dtype).backward()
        optimizer.step(rate)
        for group in reference.param_groups:
            group["lr"] = rate
        loss(theirs, step, dtype).backward()
        reference.step()
        reference.zero_grad()
        for name, weights in theirs.state_dict().items():
            assert torch.equal(ours.state_dict()[name], weights), (step, name)


@pytest.mark.parametrize(
    ("most", "expected"),
    [(0, 400.0), (20, 400.0 - 19.0), (1000, 400.0 * 10 / 11)],
    ids=["not averaged", "over 20 steps", "over a tenth of the steps"],
)
def test_averaged_weights_lag_behind_by_the_steps_that_they_cover(most: int, expected: float) -> None:
    net = TabularNet(SHAPE)
    averaged = AveragedNet(net, most)
    for step in range(1, 401):
        with torch.no_grad():
            for weights in net.parameters():
                weights.fill_(step)
        averaged.follow(net, step)
    for weights in averaged.net.parameters():
        assert weights.flatten()[0].item() == pytest.approx(expected, abs=1)
        assert not weights.requires_grad


def test_a_training_does_not_import_dynamo() -> None:
    """It takes a second, and only compile_model needs it."""
    program = """
import sys, torch
from training.model import Shape, TabularNet, parameter_groups
from training.optimizer import AdamW
import training.finish, training.trainer
sizes = {'embedding_size': 2, 'hidden_size': 2, 'hidden_layers': 1}
net = TabularNet(Shape(numeric=2, missing=(), cardinalities=(), dropout=0.1, **sizes))
optimizer = AdamW(parameter_groups(net, 0.1))
net(torch.zeros(2, 2), torch.zeros(2, 0, dtype=torch.long)).sum().backward()
torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
optimizer.step(0.1)
print([name for name in ("torch._dynamo", "sympy", "pandas", "sklearn", "matplotlib") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
