"""What can be set about training; each field is a flag and an INTERPLAY_ variable."""

from dataclasses import dataclass
from typing import Annotated

from features.artefact import FLOAT32, GOLDEN_TOLERANCES


class TrainingError(ValueError):
    """A history that nothing can be learnt from; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """The model's shape, how it learns, and how it is judged."""

    width: Annotated[int, "numbers in each vector of the model"] = 64
    heads: Annotated[int, "attention heads; divide the width"] = 2
    blocks: Annotated[int, "transformer blocks"] = 2
    max_length: Annotated[int, "interactions of a customer that the model reads"] = 50
    item_precision: Annotated[
        str, "of item vectors: float32, or float16, half as much for a GPU to read"
    ] = FLOAT32
    dropout: Annotated[float, "share of each vector left out in training"] = 0.1
    epochs: Annotated[int, "passes over the history, at most"] = 3
    learning_rate: Annotated[float, "the highest, after warming up"] = 0.004
    positions_a_step: Annotated[int, "interactions learnt from at once, by all workers"] = 1024
    horizon_days: Annotated[float, "no interaction for so long is silence"] = 7.0
    test_share: Annotated[float, "newest part of the history, which the model is judged on"] = 0.1
    examples: Annotated[int, "interactions of that part to judge on, drawn at random"] = 20_000
    workers: Annotated[int, "training processes"] = 1
    gpu: Annotated[bool, "one GPU for each worker"] = False
    max_failures: Annotated[int, "killed workers from which to recover"] = 3
    seed: Annotated[int, "of everything drawn at random"] = 1

    def __post_init__(self) -> None:
        """Raises TrainingError for a precision that is none."""
        if self.item_precision not in GOLDEN_TOLERANCES:
            known = ", ".join(GOLDEN_TOLERANCES)
            raise TrainingError(f"item-precision is {self.item_precision}: must be one of {known}")
