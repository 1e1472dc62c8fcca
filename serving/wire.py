"""The wire format of an answer's largest part, made for a whole batch at once.

An answer holds over a hundred intents, and making so many messages was most of what it cost.
N answers or candidates   T types   protobuf.dev/programming-guides/encoding
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from interplay.v1 import personalization_service_pb2 as personalization_pb

I64, LEN = 1, 2
_DECISION = personalization_pb.ConverseResponse.DESCRIPTOR.fields_by_name["decision"]
_CANDIDATES = personalization_pb.DecideInteractionResponse.DESCRIPTOR.fields_by_name["candidates"]


def reply_intents(types: Sequence[str], probability_NT: np.ndarray) -> list[bytes]:
    """The field `intents` of so many replies, most probable first; to be put behind the others."""
    return _intents(types, probability_NT, personalization_pb.DecideInteractionResponse)


def candidate_intents(types: Sequence[str], probability_NT: np.ndarray) -> list[bytes]:
    """The field `intents` of so many candidates, most probable first."""
    return _intents(types, probability_NT, personalization_pb.Candidate)


def decided(head: personalization_pb.ConverseResponse, decision: bytes) -> bytes:
    """A reply of a conversation that is a decision, serialised already."""
    return head.SerializeToString() + _field(_DECISION.number, len(decision)) + decision


def candidate(said: personalization_pb.Candidate, intents: bytes) -> bytes:
    """One entry of the field `candidates` of a reply: what is said of it, and its intents."""
    body = said.SerializeToString() + intents
    return _field(_CANDIDATES.number, len(body)) + body


def _intents(types: Sequence[str], probability_NT: np.ndarray, message: type) -> list[bytes]:
    heads_T = _heads(tuple(types), message)
    order_NT = np.argsort(-probability_NT, axis=1, kind="stable")
    sorted_NT = probability_NT[np.arange(len(order_NT))[:, None], order_NT].astype("<f8")
    parts_NT2 = np.empty((*order_NT.shape, 2), object)
    parts_NT2[..., 0] = heads_T[order_NT]
    parts_NT2[..., 1] = sorted_NT.view("V8").astype(object)
    return [b"".join(row) for row in parts_NT2.reshape(-1, 2 * len(types)).tolist()]


@cache
def _heads(types: tuple[str, ...], message: type) -> np.ndarray:
    number = message.DESCRIPTOR.fields_by_name["intents"].number  # type: ignore[attr-defined]
    return np.array([_head(number, each) for each in types], object)


def _head(field: int, type_: str) -> bytes:
    """All of an intent that comes before the eight bytes of its probability."""
    intent = personalization_pb.Intent
    number = intent.DESCRIPTOR.fields_by_name["probability"].number
    body = intent(type=type_).SerializeToString() + bytes([number << 3 | I64])
    return _field(field, len(body) + 8) + body


def _field(number: int, size: int) -> bytes:
    return _varint(number << 3 | LEN) + _varint(size)


def _varint(number: int) -> bytes:
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + _varint(rest) if rest else bytes([low])
