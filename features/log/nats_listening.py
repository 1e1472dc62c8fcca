"""Listening to the log grown up: a subscription to what all processes publish to its stream.

It has a connection of its own, so that whoever records does not wait behind it. A message is told
when it is published, a moment before it is durable; one that the stream refuses is told as well.
"""

from collections.abc import Callable

from features.log.contract import Heard, Wanted
from features.log.jetstream import FAILURES, JetStream
from features.log.message import decode_wanted


def listen(url: str, subject: str, wanted: Wanted, heard: Heard) -> Callable[[], None]:
    """Tells of messages from now on; gives what ends that. Raises one of FAILURES."""
    ears = JetStream(url)

    def take(message: bytes | None) -> None:
        if message is None:
            heard(None)
        elif told := decode_wanted(message, wanted):
            heard(told)

    try:
        ears.listen(subject, take)
    except FAILURES:
        ears.close()
        raise
    return ears.close
