"""An exponential moving average of the parameters, which is judged and kept in their place."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from training.model.model import Model


class Average:
    """Follows a model; young, it follows fast."""

    def __init__(self, model: Model, decay: float) -> None:
        """Begins with what the model is now."""
        self._model, self._decay = model, decay
        self._parameters = [each.detach() for each in model.parameters()]
        self._means = [each.clone() for each in self._parameters]
        self._steps = 0

    def follow(self) -> None:
        """After a step of learning."""
        self._steps += 1
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        torch._foreach_lerp_(self._means, self._parameters, 1 - decay)

    @contextmanager
    def worn(self) -> Iterator[None]:
        """The model is the average meanwhile."""
        own = [each.clone() for each in self._parameters]
        torch._foreach_copy_(self._parameters, self._means)
        yield
        torch._foreach_copy_(self._parameters, own)

    def state(self) -> dict[str, object]:
        """What `restore` needs."""
        return {"steps": self._steps, "means": self._means}

    def restore(self, state: dict[str, object]) -> None:
        """Goes on where `state` was taken."""
        self._steps = int(str(state["steps"]))
        torch._foreach_copy_(self._means, list(state["means"]))  # type: ignore[call-overload]
