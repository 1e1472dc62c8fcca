"""What a policy declares of its experiment: a name, and the shares of arms beside the full one."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from features.declared import Section

ROUNDING = 1e-9

Share = Annotated[float, Field(ge=0, le=1)]


class Shares(Section):
    """How many of the customers each arm gets; who is left is in the full one."""

    no_contact: Share = 0.0
    no_personalization: Share = 0.0
    propensity_only: Share = 0.0
    random_eligible: Share = 0.0

    @property
    def total(self) -> float:
        """All of them together."""
        every = self.no_contact, self.no_personalization, self.propensity_only, self.random_eligible
        return sum(every)

    @model_validator(mode="after")
    def _within_one(self) -> Self:
        if self.total > 1 + ROUNDING:
            raise ValueError(f"add up to {self.total:.9g}: must be 1 or less")
        return self


class Experiment(Section):
    """Off while all shares are 0."""

    name: Annotated[str, Field(min_length=1, max_length=64)] = "always-on"  # and the salt
    shares: Shares = Shares()
