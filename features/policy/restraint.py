"""What a policy declares of contact: the budget of attention, limits, and times of silence."""

from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from features.attention import MAX_COST
from features.declared import Section

ANY_CHANNEL = "other"
Cost = Annotated[float, Field(ge=0, le=MAX_COST)]
Days = Annotated[float, Field(gt=0, le=3650)]
LANDING = {"email": "web", "sms": "web", "push": "app"}


def zone_of(name: str) -> ZoneInfo:
    """A time zone by its IANA name; raises ValueError."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # whatever the name is, as a path
        raise ValueError("must be a time zone, such as Europe/Berlin") from error


class Budget(Section):
    """One customer's attention over all channels: what it holds, what it spends, what comes back.

    A customer who has never been turned to has all of it.
    """

    capacity: Annotated[float, Field(ge=0, le=MAX_COST)] = 3.0
    per_day: Annotated[float, Field(ge=0)] = 0.5
    asked: Cost = 0.0  # by an answer
    unasked: dict[str, Cost] = Field(default={ANY_CHANNEL: 1.0})  # by a contact, by channel
    engaged: Annotated[float, Field(ge=0)] = 0.25  # comes back for a day with the customer here
    ignored: Cost = 0.5  # more, where nothing of the customer follows a contact
    ignored_days: Days = 3.0
    dismissed: Cost = 1.0
    unseen_hours: Annotated[float, Field(gt=0, le=720)] = 48.0  # then a contact counts as not made

    def cost(self, channel: str, *, unasked: bool) -> float:
        """What a decision to offer something spends."""
        if not unasked:
            return self.asked
        return self.unasked.get(channel, self.unasked.get(ANY_CHANNEL, 0.0))


class Limit(Section):
    """At most so many contacts within so many days."""

    most: Annotated[int, Field(ge=0, le=100)]
    days: Days
    channel: str | None = None  # None: all of them together
    type: str | None = None  # None: messages and impressions


class Quiet(Section):
    """Hours of the customer's day without contacts."""

    begin: Annotated[int, Field(ge=0, le=23)]
    end: Annotated[int, Field(ge=0, le=23)]
    zone: str = "UTC"  # where a question does not say which is the customer's

    @field_validator("zone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        zone_of(name)
        return name


class OpenCase(Section):
    """What opens a case, and what closes it; nothing is sold into an unresolved problem."""

    opened_by: list[str] = Field(default=["complaint", "service-request"])
    closed_by: list[str] = Field(default=["service-reply"])
    days: Days = 14.0  # then it is closed


class Contact(Section):
    """When customers may be turned to unasked."""

    budget: Budget = Budget()
    limits: list[Limit] = Field(default=[])
    quiet: Quiet | None = None
    after: dict[str, Days] = Field(default={"dismissal": 3.0, "return": 3.0})  # days without
    open_case: OpenCase = OpenCase()
    landing: dict[str, str] = Field(default={})  # beside LANDING
