"""Admitting: a version that the gate has judged becomes champion, or canary, or neither."""

from features.artefact import CHAMPION
from features.rollout import CANARY
from training.gate import Reason, Verdict
from training.publishing import Publisher
from training.rollout.changing import place


def admit(
    publisher: Publisher, version: str, verdict: Verdict, compared: str, *, canary: float = 0.0
) -> Verdict:
    """Moves an alias to a version that is better; gives the verdict with what stood in the way.

    `compared` is the champion that it was compared with, empty for none. With a share the version
    is the canary of so many customers, unless there is one already.
    """
    if not verdict.crowned:
        return verdict
    now, occupied = publisher.version_of(CHAMPION), publisher.version_of(CANARY)
    if now != compared:
        text = f"model {now} has become champion meanwhile, with which it was not compared"
        return _refused(publisher, version, verdict, Reason("reign", False, text))
    if canary and occupied:
        text = f"model {occupied} is the canary still: promote it, or withdraw it"
        return _refused(publisher, version, verdict, Reason("canary", False, text))
    if canary:
        place(publisher, CANARY, version, canary)
    else:
        publisher.crown(version)
    return verdict


def _refused(publisher: Publisher, version: str, verdict: Verdict, reason: Reason) -> Verdict:
    refused = Verdict((*verdict.reasons, reason))
    publisher.note(version, refused.tags)
    return refused
