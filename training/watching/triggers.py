"""The triggers: what says that it is time to train again, with its value and its limit."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from training.settings import WatchSettings
from training.watching.distributions import Distributions
from training.watching.drift import stability
from training.watching.intents import Intents

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Trigger:
    """One reason to train again, which holds or does not."""

    name: str
    value: float
    limit: float
    text: str

    @property
    def fired(self) -> bool:
        """Whether it holds."""
        return self.value >= self.limit


def never_trained() -> Trigger:
    """There is nothing yet that could be out of date."""
    return Trigger("first", 1, 1, "no model has been trained yet")


def schedule(trained: datetime, now: datetime, settings: WatchSettings) -> Trigger:
    """By the age of the last training, whether or not its model was crowned."""
    age = (now - trained).total_seconds() / DAY_S
    text = f"days since the last training, {trained:%Y-%m-%d %H:%M}"
    return Trigger("schedule", age, settings.max_age_days, text)


def volume(new: int, settings: WatchSettings) -> Trigger:
    """By how much nothing has been learnt from."""
    return Trigger("volume", new, settings.new_interactions, "interactions since its snapshot")


def drift(then: Distributions, now: Distributions, settings: WatchSettings) -> list[Trigger]:
    """By how the features of interactions have moved since the champion was judged."""
    return [
        Trigger(
            f"drift of {feature}",
            stability(then[feature], now[feature]),
            settings.max_drift,
            _moved_most(then[feature], now[feature]),
        )
        for feature in then
        if feature in now
    ]


def calibration(intents: Intents, settings: WatchSettings) -> Trigger:
    """By how far what comes is from what the champion expects to come."""
    value = stability(intents.expected, intents.came)
    text = _moved_most(intents.expected, intents.came)
    return Trigger("calibration", value, settings.max_miscalibration, text)


def _moved_most(then: Mapping[str, float], now: Mapping[str, float]) -> str:
    n, m = sum(then.values()), sum(now.values())
    if not n or not m:
        return "nothing to compare"
    shares = {each: (then.get(each, 0) / n, now.get(each, 0) / m) for each in then.keys() | now}
    name = max(sorted(shares), key=lambda each: abs(shares[each][0] - shares[each][1]))
    before, after = shares[name]
    return f"most: {name}, {before:.1%} then, {after:.1%} now"
