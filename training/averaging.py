"""A running average of the weights: what is validated and shipped in place of the last step's.

It takes the place of a falling learning rate, and knows no end of the training beforehand.
"""

from __future__ import annotations

from copy import deepcopy

import torch

from training.model import TabularNet

SHARE = 0.1  # the average reaches back over this share of the steps so far, up to a given number of them


class AveragedNet:
    """A copy of a network whose weights follow an exponential moving average."""

    def __init__(self, net: TabularNet, steps: int) -> None:
        self.net = deepcopy(net).requires_grad_(requires_grad=False).eval()
        self.steps = steps
        """Steps that it reaches back at most; 0 makes it the network itself."""

    @torch.no_grad()
    def follow(self, net: TabularNet, step: int) -> None:
        """Move towards the weights that the network has after `step` steps."""
        weight = max(1 / self.steps, min(1.0, 1 / (SHARE * step))) if self.steps else 1.0
        torch._foreach_lerp_(list(self.net.parameters()), list(net.parameters()), weight)
