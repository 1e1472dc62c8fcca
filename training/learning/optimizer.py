"""What moves the parameters: Muon the matrices of the blocks, AdamW all others; and how fast.

Muon moves a matrix by the nearest orthogonal one to its gradients' mean, so that all directions
count alike: Jordan et al. 2024, kellerjordan.github.io/posts/muon.
"""

from math import cos, pi
from typing import Any

import torch
from torch import nn

from training.model.model import Model

WEIGHT_DECAY = 0.01
BETAS = (0.9, 0.98)
MOMENTUM = 0.95
WARM_UP = 0.05  # share of the run
LOWEST_RATE = 0.02  # share of the highest
FAST = ("nearness.", "naming.nearness.", "distances.", "items.bias_V", "items.new_bias_1")
FASTER = 5.0  # biases by distance, age and item have far to go from 0; Muon's steps are of length 1


class Movers:
    """Optimizers that move together; each of their groups knows its factor on the rate: `speed`."""

    def __init__(self, *optimizers: torch.optim.Optimizer) -> None:
        self._optimizers = optimizers

    def step(self, rate: float) -> None:
        """Moves all parameters at this rate, and forgets their gradients."""
        for each in self._optimizers:
            for group in each.param_groups:
                group["lr"] = rate * group["speed"]
            each.step()
            each.zero_grad()

    def state_dict(self) -> list[dict[str, Any]]:
        """Of all of them."""
        return [each.state_dict() for each in self._optimizers]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """The reverse."""
        for each, state in zip(self._optimizers, states, strict=True):
            each.load_state_dict(state)


def movers_of(model: Model) -> Movers:
    """For all parameters that autograd knows; rows.Rows moves those of a large catalog."""
    named = [(name, each) for name, each in model.named_parameters() if each.requires_grad]
    matrices = [each for name, each in named if _is_matrix(name, each)]
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in named:
        if _is_matrix(name, parameter):
            continue
        fast = name.startswith(FAST)
        decay = 0.0 if fast or parameter.ndim == 1 else WEIGHT_DECAY
        groups.setdefault((FASTER if fast else 1.0, decay), []).append(parameter)
    muon = torch.optim.Muon(
        [{"params": matrices, "speed": FASTER}], momentum=MOMENTUM, weight_decay=WEIGHT_DECAY
    )
    adam = torch.optim.AdamW(
        [
            {"params": params, "speed": speed, "weight_decay": decay}
            for (speed, decay), params in groups.items()
        ],
        betas=BETAS,
        fused=True,
    )
    return Movers(muon, adam)


def _is_matrix(name: str, parameter: nn.Parameter) -> bool:
    return name.startswith("blocks.") and parameter.ndim == 2


def rate_at(done: float) -> float:
    """Warms up, then falls as a cosine: a share of the highest; `done` is the share of the run."""
    done = min(done, 1.0)
    return min(done / WARM_UP, 1.0) * (LOWEST_RATE + (1 - LOWEST_RATE) * (1 + cos(pi * done)) / 2)
