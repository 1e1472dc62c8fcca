"""The channels that a request speaks for: its own, and those of the interactions in it."""

from collections.abc import Callable, Collection
from typing import Any

from google.protobuf.descriptor import Descriptor

ChannelsOf = Callable[[Any], Collection[str]]


def channels_in(message: Descriptor) -> ChannelsOf | None:
    """What tells the channels of such requests; None where they have none."""
    fields = message.fields_by_name
    if "question" in fields:
        return _of_turn
    if "interactions" not in fields:
        return _own if "channel" in fields else None
    return _own_and_theirs if "channel" in fields else _theirs


def _own(request: Any) -> Collection[str]:
    return (request.channel,)


def _theirs(request: Any) -> set[str]:
    return {each.channel for each in request.interactions}


def _own_and_theirs(request: Any) -> Collection[str]:
    if not request.interactions:
        return (request.channel,)
    return {request.channel, *_theirs(request)}


def _of_turn(request: Any) -> set[str]:
    """Of a message of a conversation; one without a question asks the last one again."""
    return _theirs(request) | set(_own_and_theirs(request.question))
