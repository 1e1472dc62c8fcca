"""Remembering: what is known of the customers of a batch, and came along with the questions."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from features.online.store import NOTHING_KNOWN, Known
from features.privacy.consent import MAX_CONSENT_RECORDS, Consent, consent_of, consent_records
from features.record import merge, pack
from serving.errors import UnavailableError
from serving.memory import Memory
from serving.question import Question


class Degradation(Enum):
    """How much of its way an answer could go."""

    NONE = 1
    WITHOUT_FEATURES = 2
    POPULARITY = 3
    INCOMPLETE_FEATURES = 4


WHOLE, INCOMPLETE = Degradation.NONE, Degradation.INCOMPLETE_FEATURES


@dataclass(frozen=True, slots=True)
class Remembered:
    """What of a customer counts in an answer."""

    customer_key: str  # of whoever it has turned out to be
    history: bytes
    consent: Consent
    attention: bytes  # a ledger of features.attention, where it was asked for
    degradation: Degradation


async def remember(
    questions: Sequence[Question], memory: Memory, *, ledgers: bool
) -> list[Remembered]:
    """What is known, in one read; what came along with a question counts in any case."""
    try:
        found = await memory.read_all([each.customer_key for each in questions], ledgers=ledgers)
    except UnavailableError:
        nothing = Degradation.WITHOUT_FEATURES
        return [_with_own(each, NOTHING_KNOWN, nothing, memory) for each in questions]
    return [
        _with_own(each, seen.known, WHOLE if seen.whole else INCOMPLETE, memory)
        for each, seen in zip(questions, found, strict=True)
    ]


def _with_own(
    question: Question, known: Known, degradation: Degradation, memory: Memory
) -> Remembered:
    vocabulary, history, said = memory.vocabulary, known.history, known.consent
    if own := question.own:
        packed = b"".join(pack(each, vocabulary) for each in own)
        history = merge(history, packed, max_records=memory.max_records)
        consents = b"".join(consent_records(each, vocabulary) for each in own)
        said = merge(said, consents, max_records=MAX_CONSENT_RECORDS)
    key, consent = known.joined_to or question.customer_key, consent_of(said, vocabulary)
    return Remembered(key, history, consent, known.attention, degradation)
