"""Changing what stands beside the champion: canaries and shadows set, promoted, withdrawn."""

from datetime import UTC, datetime

from features.rollout import (
    ALIASES,
    CANARY,
    REASON,
    WITHDRAWN,
    Rollout,
    check_share,
    rollout_of,
    tags_of,
    withdrawal,
)
from features.vocabulary import Vocabulary
from training.publishing import Publisher
from training.rollback import Change, check_servable
from training.settings import TrainingError


def begin(
    publisher: Publisher,
    vocabulary: Vocabulary,
    alias: str,
    version: str,
    share: float,
    *,
    trusted_keys: str = "",
) -> Rollout:
    """Lets a version stand under an alias for a share, also one that was withdrawn before.

    Raises TrainingError.
    """
    try:
        check_share(share)
    except ValueError as error:
        raise TrainingError(str(error)) from error
    champion = publisher.champion()
    if champion is None:
        raise TrainingError("there is no champion yet, beside which it could stand; see `train`")
    if champion.version == version:
        raise TrainingError(f"version is {version!r}: this is the champion already")
    check_servable(publisher, vocabulary, version, trusted_keys)
    return place(publisher, alias, version, share)


def place(publisher: Publisher, alias: str, version: str, share: float) -> Rollout:
    """The same of a version that has been checked; a version stands under one alias only."""
    began_time = datetime.now(UTC).isoformat(timespec="milliseconds")
    rollout = Rollout(alias, version, share, began_time)
    for other in ALIASES:
        if other != alias and publisher.version_of(other) == version:
            publisher.unpoint(other)
    publisher.note(version, tags_of(rollout))
    publisher.forget(version, (WITHDRAWN, REASON))
    publisher.point(alias, version)
    return rollout


def current(publisher: Publisher, alias: str) -> Rollout | None:
    """What stands under an alias now; None for nothing, or what was withdrawn.

    Raises TrainingError where nobody has said for whom it is.
    """
    version = publisher.version_of(alias)
    if not version:
        return None
    try:
        return rollout_of(alias, version, publisher.tags(version))
    except ValueError as error:
        raise TrainingError(str(error)) from error


def promote(publisher: Publisher, vocabulary: Vocabulary, *, trusted_keys: str = "") -> Change:
    """Crowns the canary; raises TrainingError."""
    canary, champion = current(publisher, CANARY), publisher.champion()
    if canary is None:
        raise TrainingError("there is no canary to promote; `canary VERSION` sets one, see `list`")
    check_servable(publisher, vocabulary, canary.version, trusted_keys)
    publisher.crown(canary.version)
    publisher.unpoint(CANARY)
    return Change(champion.version if champion else "", canary.version)


def withdraw(publisher: Publisher, alias: str, reason: str) -> str:
    """Takes an alias off its version, and notes why; gives the version. Raises TrainingError."""
    version = publisher.version_of(alias)
    if not version:
        raise TrainingError(f"there is no {alias} to withdraw; see `list`")
    publisher.note(version, withdrawal(reason, datetime.now(UTC)))
    publisher.unpoint(alias)
    return version
