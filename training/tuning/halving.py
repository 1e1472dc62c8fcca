"""How Ray Tune searches: what it draws, and which trials it ends early (successive halving)."""

from typing import Any

import ray.tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.basic_variant import BasicVariantGenerator
from ray.tune.search.sample import Domain

from training.settings import TrainingSettings
from training.tuning.space import Space, Values
from training.tuning.trial import EPOCH, LOSS, LOSSES

HALF = 2  # one of so many goes on from each rung, of 1, 2, 4, ... epochs


class Halving(ASHAScheduler):
    """Compares a trial with all that came as far, those of before a kill too."""

    def __init__(self, epochs: int) -> None:
        """For trials of so many epochs."""
        super().__init__(
            time_attr=EPOCH,
            max_t=epochs,
            grace_period=1,
            reduction_factor=HALF,
            stop_last_trials=False,
        )

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Of a trial that had ended already it is not told again: Ray Tune keeps no rungs."""
        super().on_trial_add(tune_controller, trial)
        if trial.status == Trial.TERMINATED:
            for epoch, loss in enumerate(trial.last_result.get(LOSSES, ()), 1):
                self.on_trial_result(tune_controller, trial, {EPOCH: epoch, LOSS: loss})


def drawer(
    domains: dict[str, Domain], settings: TrainingSettings, *, at_once: int
) -> BasicVariantGenerator:
    """Draws by the seed; first the settings as they are, where the space holds them."""
    given = {name: getattr(settings, name) for name in domains}
    held = all(domain.is_valid(given[name]) for name, domain in domains.items())
    return BasicVariantGenerator(
        points_to_evaluate=[given] if held else None,
        max_concurrent=at_once,
        random_state=settings.seed,
    )


def domains_of(space: Space) -> dict[str, Domain]:
    """The space as Ray Tune knows it."""
    return {name: _domain(values) for name, values in space.searched}


def _domain(values: Values[Any]) -> Domain:
    low, high = values.low, values.high
    if low is None or high is None:
        return ray.tune.choice(values.choices)
    if isinstance(low, int) and isinstance(high, int):
        draw = ray.tune.lograndint if values.scale == "log" else ray.tune.randint
        return draw(low, high + 1)
    draw = ray.tune.loguniform if values.scale == "log" else ray.tune.uniform
    return draw(low, high)
