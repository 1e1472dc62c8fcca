"""Rollouts: versions that stand beside the champion, under which alias, for whom, since when.

The registry's alias says which version it is, and tags of this version the rest, so that a share
changes without restarting servers. Each setting begins anew: what was counted under another share
is not put together with what comes (Simpson's paradox). A version that was withdrawn is not taken
until somebody sets it again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from features.policy.arms import lots

CANARY = "canary"  # decides for a share of the customers
SHADOW = "shadow"  # is asked as well in a share of the decisions, and shown to nobody
ALIASES = (CANARY, SHADOW)
WITHDRAWN, REASON = "withdrawn_time", "withdrawn_reason"  # tags of a version

ERRORS, LATENCY, VALUE, ARTEFACT = "errors", "latency", "value", "artefact"
KINDS = (ERRORS, LATENCY, VALUE, ARTEFACT)
"""Why a version is withdrawn that was worse; each stands before what the reason says."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """A version beside the champion."""

    alias: str
    version: str
    share: float
    began_time: str  # in ISO 8601

    def takes(self, customer_keys: Sequence[str]) -> list[bool]:
        """Who belongs to it: the same customers in each process, whatever arms they are in."""
        taken: list[bool] = (
            lots(f"{self.alias}-{self.version}", customer_keys) < self.share
        ).tolist()
        return taken


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a version must go: one of KINDS, and in what."""

    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


def check_share(share: float) -> float:
    """The share; raises ValueError."""
    if not 0 < share <= 1:  # NaN neither
        raise ValueError(f"share is {share:g}: must be more than 0, and at most 1")
    return share


def tags_of(rollout: Rollout) -> dict[str, str]:
    """What is noted of its version."""
    return {
        f"{rollout.alias}_share": f"{rollout.share:g}",
        f"{rollout.alias}_time": rollout.began_time,
    }


def rollout_of(alias: str, version: str, tags: Mapping[str, str]) -> Rollout | None:
    """What an alias means, by the tags of its version; None where that was withdrawn.

    Raises ValueError where nobody has said for whom it is.
    """
    if WITHDRAWN in tags:
        return None
    share, began_time = (tags.get(f"{alias}_{name}", "") for name in ("share", "time"))
    try:
        datetime.fromisoformat(began_time)
        return Rollout(alias, version, check_share(float(share)), began_time)
    except ValueError as error:
        told = f"the {alias} is model {version}, with the tags {alias}_share {share!r} and "
        told += f"{alias}_time {began_time!r}"
        how = f"set it by python -m training {alias} {version} --share 0.05"
        raise ValueError(f"{told}: {how}") from error


def withdrawal(reason: str, now: datetime) -> dict[str, str]:
    """What is noted of a version that is withdrawn."""
    return {WITHDRAWN: now.isoformat(timespec="seconds"), REASON: reason}


def kind_of(reason: str) -> str:
    """Which of KINDS a reason begins with; empty for others, such as an operator's."""
    kind = reason.partition(":")[0]
    return kind if kind in KINDS else ""
