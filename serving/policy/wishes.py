"""Wishes: what a customer has said to want no more of keeps from being turned to."""

from features.policy.arbitration import Silence
from features.privacy.preferences import Preferences
from features.topic import Kind, Topic
from serving.question import Question

CONTACT = Topic(Kind.TYPE, "message")  # by which the company turns to a customer unasked


def declined(question: Question, preferences: Preferences, now_tick: int) -> Silence | None:
    """Why nothing may be offered here and now, whatever it were; None where something may.

    A muted channel is silent even where it asks. A pause, and muted messages, are about contacts
    that nobody asked for.
    """
    if preferences.mutes(Topic(Kind.CHANNEL, question.channel)):
        return Silence.MUTED
    if not question.unasked:
        return None
    if preferences.pauses(now_tick):
        return Silence.PAUSED
    return Silence.MUTED if preferences.mutes(CONTACT) else None
