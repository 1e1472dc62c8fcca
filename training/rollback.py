"""Rollback: the alias goes back to a version that reigned before, or to any that may serve."""

from dataclasses import dataclass

from features.artefact import ArtefactError, verify
from features.vocabulary import Vocabulary
from training.export.export import ExportError, check_golden
from training.publishing import PREDECESSOR, Publisher
from training.settings import TrainingError


@dataclass(frozen=True, slots=True)
class Change:
    """Who reigned, and who does from now on."""

    before: str  # empty where nobody did
    now: str


def roll_back(
    publisher: Publisher, vocabulary: Vocabulary, version: str = "", *, trusted_keys: str = ""
) -> Change:
    """Crowns a version, by default the one that reigned before; raises TrainingError."""
    champion = publisher.champion()
    before = champion.version if champion else ""
    target = version or _predecessor(publisher, before)
    if target == before:
        raise TrainingError(f"version is {target!r}: this is the champion already")
    check_servable(publisher, vocabulary, target, trusted_keys)
    publisher.retreat(target)
    return Change(before, target)


def _predecessor(publisher: Publisher, champion: str) -> str:
    if not champion:
        raise TrainingError("there is no champion to roll back from: name a version; see `list`")
    predecessor = publisher.tags(champion).get(PREDECESSOR, "")
    if not predecessor:
        raise TrainingError(f"no model reigned before model {champion}: name a version; see `list`")
    return predecessor


def check_servable(
    publisher: Publisher, vocabulary: Vocabulary, version: str, trusted_keys: str
) -> None:
    """What serving would refuse must not get an alias; raises TrainingError."""
    found = publisher.find(version)
    try:
        verify(found.directory, vocabulary, trusted_keys=trusted_keys)
        check_golden(found.directory)
    except (ArtefactError, ExportError, OSError) as error:
        raise TrainingError(f"version is {version!r}, which must not serve: {error}") from error
