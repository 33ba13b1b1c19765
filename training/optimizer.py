"""The optimizer, and the running average of the weights that is validated and shipped."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import TypedDict

import torch
from torch import Tensor

from training.model import ParameterGroup, TabularNet

BETAS, EPS = (0.9, 0.999), 1e-8  # PyTorch's defaults
SHARE = 0.1  # the average covers this share of the steps so far, up to a given number of them


class OptimizerState(TypedDict):
    """What a checkpoint keeps of AdamW."""

    moments: list[list[list[Tensor]]]
    """By group, first and second moments, weights."""
    steps: Tensor


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019), one kernel call for each group of weights.

    The steps are those of `torch.optim.AdamW(fused=True)`, bit by bit. That class imports torch._dynamo when it is
    created, which takes longer than the training of a small table.
    """

    def __init__(self, groups: Iterable[ParameterGroup]) -> None:
        """Take groups of weights (`params`) and the `weight_decay` of each."""
        self.groups = list(groups)
        self.moments = [[[torch.zeros_like(p) for p in group["params"]] for _ in BETAS] for group in self.groups]
        """First and second moments of the gradients, by group."""
        self.steps = torch.zeros((), device=self.groups[0]["params"][0].device)

    def step(self, learning_rate: float) -> None:
        """Move the weights by their gradients, and drop the gradients."""
        self.steps += 1
        for group, (first, second) in zip(self.groups, self.moments, strict=True):
            params = group["params"]
            torch._fused_adamw_(
                params, [p.grad for p in params if p.grad is not None], first, second, [], [self.steps] * len(params),
                lr=learning_rate, beta1=BETAS[0], beta2=BETAS[1], weight_decay=group["weight_decay"], eps=EPS,
                amsgrad=False, maximize=False,
            )  # fmt: skip
            for parameter in params:
                parameter.grad = None

    def state_dict(self) -> OptimizerState:
        """Return what a checkpoint keeps."""
        return {"moments": self.moments, "steps": self.steps}

    @torch.no_grad()
    def load_state_dict(self, saved: OptimizerState) -> None:
        """Continue from a checkpoint's state."""
        self.steps.copy_(saved["steps"])
        for mine, theirs in zip(self.moments, saved["moments"], strict=True):
            for tensors, values in zip(mine, theirs, strict=True):
                torch._foreach_copy_(tensors, [value.to(self.steps.device) for value in values])


class AveragedNet:
    """A copy of a network whose weights follow an exponential moving average.

    It replaces a decaying learning rate, which would require the number of steps in advance.
    """

    def __init__(self, net: TabularNet, steps: int) -> None:
        self.net = deepcopy(net).requires_grad_(requires_grad=False).eval()
        self.steps = steps
        """Steps that it covers, at most; 0 makes it the network itself."""

    @torch.no_grad()
    def follow(self, net: TabularNet, step: int) -> None:
        """Move towards the weights that the network has after `step` steps."""
        weight = max(1 / self.steps, min(1.0, 1 / (SHARE * step))) if self.steps else 1.0
        torch._foreach_lerp_(list(self.net.parameters()), list(net.parameters()), weight)
