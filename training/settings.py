"""What can be set about training; each field is a flag and an INTERPLAY_ variable."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from features.artefact import FLOAT32, GOLDEN_TOLERANCES

T = TypeVar("T")
GATED = ("ndcg_at_10", "hr_at_10", "mrr")

SPACE_PATH = Path(__file__).parent / "tuning" / "default.yaml"

PRECISIONS = ("auto", "float32", "bfloat16")

SMOKE = {"width": 16, "heads": 2, "blocks": 1, "max_length": 16, "epochs": 1, "examples": 200}
SMOKE_STEPS = 20
MAX_WINDOW_DAYS = 3650


class TrainingError(ValueError):
    """A history that nothing can be learnt from; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """The model's shape, how it learns, and how it is judged."""

    width: Annotated[int, "numbers in each vector of the model"] = 64
    heads: Annotated[int, "attention heads; divide the width"] = 2
    blocks: Annotated[int, "transformer blocks"] = 2
    max_length: Annotated[int, "interactions of a customer that the model reads"] = 50
    reach: Annotated[
        int, "newest of them that name items: their own, and what followed those; 0 is none"
    ] = 50
    item_precision: Annotated[
        str, "of item vectors: float32, or float16, half as much for a GPU to read"
    ] = FLOAT32
    dropout: Annotated[float, "share of each vector left out in training"] = 0.1
    without_profile: Annotated[
        float, "share of the history learnt once more as of customers without consent"
    ] = 0.1
    as_new: Annotated[
        float, "share of the items that a step takes for new, known by their description alone"
    ] = 0.1
    epochs: Annotated[int, "passes over the history, at most"] = 3
    learning_rate: Annotated[float, "the highest, after warming up"] = 0.004
    positions_a_step: Annotated[int, "interactions learnt from at once, by all workers"] = 1024
    exact_items: Annotated[int, "of a larger catalog the loss sums over a sample"] = 100_000
    sampled_items: Annotated[int, "items drawn in each step to stand for a larger catalog"] = 8192
    precision: Annotated[str, "on a GPU: float32, bfloat16, or auto, which takes what it can"] = (
        "auto"
    )
    averaging: Annotated[float, "decay of an average of the weights, as 0.999; 0 is none"] = 0.0
    patience: Annotated[int, "epochs without gain after which to stop; 0 is never"] = 1
    checkpoint_steps: Annotated[int, "steps between checkpoints within an epoch; 0 is none"] = 1000
    smoke: Annotated[bool, "seconds, to see that all of it runs: a tiny model, few steps"] = False
    horizon_days: Annotated[float, "no interaction for so long is silence"] = 7.0
    test_share: Annotated[float, "newest part of the history, which the model is judged on"] = 0.1
    examples: Annotated[int, "interactions of that part to judge on, drawn at random"] = 20_000
    workers: Annotated[int, "training processes"] = 1
    gpu: Annotated[bool, "one GPU for each worker"] = False
    max_failures: Annotated[int, "killed workers from which to recover"] = 3
    seed: Annotated[int, "of everything drawn at random"] = 1
    warm_start: Annotated[bool, "begins with the champion's weights, learns what is new"] = False
    gate_metric: Annotated[str, "to beat the champion in: ndcg_at_10, hr_at_10 or mrr"] = GATED[0]
    least_gain: Annotated[float, "that the interval must be above; below 0 lets equals pass"] = 0.0
    slice_tolerance: Annotated[float, "loss in the metric that a slice may surely have"] = 0.02
    latency_ms: Annotated[float, "one customer on one thread may take, once exported"] = 50.0
    signing_key: Annotated[str, "PEM file of the Ed25519 key that signs the model; else none"] = ""

    def __post_init__(self) -> None:
        """Raises TrainingError for a precision or a metric that is none."""
        if self.item_precision not in GOLDEN_TOLERANCES:
            known = ", ".join(GOLDEN_TOLERANCES)
            raise TrainingError(f"item-precision is {self.item_precision}: must be one of {known}")
        if self.precision not in PRECISIONS:
            known = ", ".join(PRECISIONS)
            raise TrainingError(f"precision is {self.precision}: must be one of {known}")
        if self.gate_metric not in GATED:
            known = ", ".join(GATED)
            raise TrainingError(f"gate-metric is {self.gate_metric}: must be one of {known}")

    def as_meant(self) -> "TrainingSettings":
        """A smoke run's settings, if it is one."""
        return dataclasses.replace(self, **SMOKE) if self.smoke else self  # type: ignore[arg-type]

    @property
    def steps_an_epoch(self) -> int | None:
        """None where an epoch is the whole history."""
        return SMOKE_STEPS if self.smoke else None


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSettings:
    """From when on it is time to train again."""

    max_age_days: Annotated[float, "since the last training"] = 7.0
    new_interactions: Annotated[int, "since the snapshot of the last training"] = 100_000
    max_drift: Annotated[float, "of a feature's distribution, as a PSI"] = 0.2
    max_miscalibration: Annotated[float, "of intents expected to those that came, as a PSI"] = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutSettings:
    """How a model that has passed the gate comes to serve."""

    canary: Annotated[
        float, "share of the customers for whom a better model is a canary first; 0: none"
    ] = 0.0

    def __post_init__(self) -> None:
        """Raises TrainingError for a share that is none."""
        if not 0 <= self.canary <= 1:
            raise TrainingError(f"canary is {self.canary}: must be 0 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisSettings:
    """When a canary is withdrawn for what it is worth, or promoted."""

    canary_days: Annotated[
        float, "of each customer, from the first decision on, that are compared"
    ] = 1.0
    canary_loss: Annotated[
        float, "share of the champion's value that a canary may lose, and still be promoted"
    ] = 0.02
    promote: Annotated[bool, "promotes a canary that is surely no worse"] = False

    def __post_init__(self) -> None:
        """Raises TrainingError for what cannot be meant."""
        _must_be_days("canary_days", self.canary_days)
        if not self.canary_loss >= 0:
            raise TrainingError(f"canary-loss is {self.canary_loss}: must be 0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSettings:
    """Which decisions a policy is judged by, and when it is refused."""

    days: Annotated[float, "how far back decisions count"] = 90.0
    window_days: Annotated[float, "for which what a customer does counts as an outcome"] = 3.0
    tolerance: Annotated[float, "by which a policy may be worse, in two-sided value a place"] = 0.0

    def __post_init__(self) -> None:
        """Raises TrainingError for times that are none."""
        for name in ("days", "window_days"):
            _must_be_days(name, getattr(self, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneSettings:
    """A search for better settings of training."""

    space: Annotated[Path, "YAML file of settings and the values that they may take"] = SPACE_PATH
    trials: Annotated[int, "trainings with settings drawn from the space"] = 16
    at_once: Annotated[int, "trials that go on side by side, sharing the cores"] = 1
    name: Annotated[str, "of the search; by itself it follows from all that is searched with"] = ""

    def __post_init__(self) -> None:
        """Raises TrainingError for a search that cannot be."""
        for field, value in (("trials", self.trials), ("at-once", self.at_once)):
            if value < 1:
                raise TrainingError(f"{field} is {value}: must be 1 or more")
        if self.name and not re.fullmatch(r"\w[\w.-]*", self.name, re.ASCII):
            rule = "must be letters, digits, dots, dashes and underlines"
            raise TrainingError(f"name is {self.name!r}: {rule}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSettings:
    """Which experiment is reported on, and how long a customer is looked at."""

    experiment: Annotated[str, "by the name in its policy; by itself the newest"] = ""
    window_days: Annotated[float, "of each customer, from the first decision on"] = 7.0

    def __post_init__(self) -> None:
        """Raises TrainingError for a time that is none."""
        _must_be_days("window_days", self.window_days)


def picked(kind: type[T], values: Mapping[str, Any]) -> T:
    """The settings of one kind, out of all that a command has been given."""
    names = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in values.items() if name in names})


def _must_be_days(name: str, days: float) -> None:
    if not 0 < days <= MAX_WINDOW_DAYS:  # NaN too
        rule = f"must be more than 0, and {MAX_WINDOW_DAYS:,} or less"
        raise TrainingError(f"{name.replace('_', '-')} is {days}: {rule}")
