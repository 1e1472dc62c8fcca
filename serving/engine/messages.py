"""What frontends and the engine say to each other: length, kind, body. Numbers are little-endian.

B questions of a batch   N ranked of all   T predicted types   U types and silence
"""

import asyncio
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import accumulate, chain, islice, pairwise
from struct import Struct, error
from typing import NamedTuple

import numpy as np

from features.record import RECORD_BYTES
from serving.items.catalog import Catalog
from serving.items.filters import any_of, compiled, every_of
from serving.model.registry import Model
from serving.model.scoring import Asked, Found
from serving.policy.ranking import Best
from serving.question import Boost, Question

MAX_BYTES = 1 << 28  # of one message; more than the largest batch of the largest questions
LOST = -1  # as a count of items: the model could not run for this question
_HEAD = Struct("<IB")  # bytes of the body, kind
_BATCH = Struct("<Iq")  # questions, when the oldest of them was asked
# Most, bytes of history, of filter and of boosts, five counts of texts, how many new items compete,
# below how many interactions an item is new, as of when.
_QUESTION = Struct("<11Iq")
_COUNT, _FLOAT = np.dtype("<i4"), np.dtype("<f4")
_ANSWER = Struct("<IIIqII")  # B, N, T, when the run began, batch size, max length


class MessageError(ValueError):
    """Bytes that mean nothing here."""


class Kind(IntEnum):
    """What a message is. ASK and RENEW go to the engine, each is answered by one; MODEL is news."""

    ASK = 1
    ANSWER = 2
    RENEW = 3  # the catalog has changed
    RENEWED = 4
    MODEL = 5  # which one answers from now on; both texts are empty where there is none


class Part(NamedTuple):
    """What was found for one question."""

    item_ids: Sequence[str]
    price_K: np.ndarray
    joint_KT: np.ndarray
    intent_U: np.ndarray
    began_ns: int
    batch_size: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found for a batch, and for which of its questions the model could not run."""

    found: Found
    lost: Sequence[bool]


def message(kind: Kind, body: bytes = b"") -> bytes:
    """As it is sent."""
    return _HEAD.pack(len(body), kind) + body


async def receive(reader: asyncio.StreamReader) -> tuple[Kind, bytes]:
    """The next message; raises MessageError, and EOFError at the end."""
    size, kind = _HEAD.unpack(await reader.readexactly(_HEAD.size))
    if size > MAX_BYTES or kind not in list(Kind):
        raise MessageError(f"a message of kind {kind} with {size} bytes")
    return Kind(kind), await reader.readexactly(size)


def pack_model(version: str, provider: str) -> bytes:
    """The body of MODEL."""
    return f"{version}\n{provider}".encode()


def unpack_model(body: bytes) -> tuple[str, str]:
    """Version and provider; raises MessageError."""
    version, newline, provider = str(body, errors="replace").partition("\n")
    if not newline:
        raise MessageError(f"no model: {body[:40]!r}")
    return version, provider


def pack_questions(asked: Sequence[Asked]) -> bytes:
    """The body of ASK. Ids and channels hold no control characters, so a newline ends each."""
    sizes, filters, boosts, texts = [], [], [], []
    for each in asked:
        question = each.question
        every = (*question.rules, question.filter) if question.filter else question.rules
        both = every_of(every).encode(), any_of(b.filter for b in question.boosts).encode()
        named: list[Collection[str]] = [
            *(question.candidates, question.left_out, question.muted, question.pinned),
            [each.item_id for each in question.boosts if each.item_id],
        ]
        size = each.most, len(each.history), *map(len, both), *map(len, named)
        sizes.append(_QUESTION.pack(*size, question.new_items, question.new_below, each.at_tick))
        filters.append(both[0])
        boosts.append(both[1])
        texts += [each.channel, *chain.from_iterable(named)]
    head = _BATCH.pack(len(asked), min(each.asked_ns for each in asked))
    weights = [each.weight_T.astype(_FLOAT, copy=False).tobytes() for each in asked]
    histories = [each.history for each in asked]
    return b"".join(
        [head, *sizes, *weights, *histories, *filters, *boosts, "\n".join(texts).encode()]
    )


def unpack_questions(body: bytes, model: Model, catalog: Catalog) -> list[Asked]:
    """Questions that are put to this model; raises MessageError."""
    try:
        count, asked_ns = _BATCH.unpack_from(body)
        start = _BATCH.size + _QUESTION.size * count
        sizes = list(_QUESTION.iter_unpack(body[_BATCH.size : start]))
        T = len(model.scorer.contract.predicted_types)
        weights, start = _numbers(body, start, _FLOAT, count * T)
        histories, start = _cut(body, start, [each[1] for each in sizes])
        filters, start = _cut(body, start, [each[2] for each in sizes])
        boosts, start = _cut(body, start, [each[3] for each in sizes])
        texts = str(body[start:], "utf-8").split("\n")
        if not 0 < count == len(sizes) or len(texts) != sum(1 + sum(each[4:9]) for each in sizes):
            raise MessageError(f"{count} questions, {len(texts)} texts")
        following = iter(texts)
        questions = [
            _question(size, str(filter, "utf-8"), str(boost, "utf-8"), following)
            for size, filter, boost in zip(sizes, filters, boosts, strict=True)
        ]
        every = zip(questions, histories, weights.reshape(count, T), sizes, strict=True)
        return [
            Asked(model, catalog, question, history, asked_ns, weight, question.k, at_tick=size[-1])
            for question, history, weight, size in every
        ]
    except (error, ValueError) as broken:
        raise MessageError(f"no questions: {broken}") from broken


def _cut(body: bytes, start: int, sizes: Sequence[int]) -> tuple[list[bytes], int]:
    """Pieces of these sizes, and where the last of them ends."""
    ends = list(accumulate(sizes, initial=start))
    if ends[-1] > len(body):
        raise MessageError(f"{len(body)} bytes where {ends[-1]} are announced")
    return [body[begin:end] for begin, end in pairwise(ends)], ends[-1]


def _question(size: Sequence[int], filter: str, boosts: str, texts: Iterator[str]) -> Question:
    most, history_bytes, *_ = size
    if not most or history_bytes % RECORD_BYTES:
        raise MessageError(f"{most} items are asked, the history has {history_bytes} bytes")
    return Question(
        customer_key="",  # nobody's name goes to the engine
        channel=next(texts),
        k=most,
        filter=compiled(filter) if filter else None,
        candidates=tuple(islice(texts, size[4])),
        excluded=frozenset(islice(texts, size[5])),
        muted=frozenset(islice(texts, size[6])),
        pinned=tuple(islice(texts, size[7])),
        boosts=(
            *((Boost(compiled(boosts), "", 1.0),) if boosts else ()),
            *(Boost(None, each, 1.0) for each in islice(texts, size[8])),
        ),
        new_items=size[9],
        new_below=size[10],
    )


def parts_of(found: Found) -> list[Part]:
    """What was found, question by question."""
    best, run = found.best, (found.began_ns, found.batch_size)
    spans = pairwise(accumulate(best.count_B, initial=0))
    return [
        Part(
            best.item_ids[begin:end],
            best.price_N[begin:end],
            best.joint_NT[begin:end],
            intent_U,
            *run,
        )
        for (begin, end), intent_U in zip(spans, best.intent_BU, strict=True)
    ]


def pack_answer(parts: Sequence[Part | None], model: Model) -> bytes:
    """The body of ANSWER; None for a question that the model could not run for."""
    contract = model.scorer.contract
    T, held = len(contract.predicted_types), [each for each in parts if each is not None]
    item_ids = [item_id for each in held for item_id in each.item_ids]
    run = held[0].began_ns if held else 0, held[0].batch_size if held else 0
    head = _ANSWER.pack(len(parts), len(item_ids), T, *run, contract.max_length)
    counts = [LOST if each is None else len(each.item_ids) for each in parts]
    silent = bytes(_FLOAT.itemsize * (T + 1))
    return b"".join(
        [
            head,
            np.array(counts, _COUNT).tobytes(),
            *(each.price_K.astype(_FLOAT, copy=False).tobytes() for each in held),
            *(each.joint_KT.astype(_FLOAT, copy=False).tobytes() for each in held),
            *(
                each.intent_U.astype(_FLOAT, copy=False).tobytes() if each else silent
                for each in parts
            ),
            "\n".join((model.version, *item_ids)).encode(),
        ]
    )


def unpack_answer(body: bytes) -> Answer:
    """Raises MessageError."""
    try:
        B, N, T, began_ns, batch_size, max_length = _ANSWER.unpack_from(body)
        counts, start = _numbers(body, _ANSWER.size, _COUNT, B)
        price_N, start = _numbers(body, start, _FLOAT, N)
        joint, start = _numbers(body, start, _FLOAT, N * T)
        intent, start = _numbers(body, start, _FLOAT, B * (T + 1))
        version, *item_ids = str(body[start:], "utf-8").split("\n")
        count_B = np.maximum(counts, 0)
        if not len(item_ids) == N == count_B.sum():
            raise MessageError(f"{len(item_ids)} items, {N} announced, {count_B.sum()} ranked")
        best = Best(
            count_B.tolist(), item_ids, price_N, joint.reshape(N, T), intent.reshape(B, T + 1)
        )
        found = Found(best, version, max_length, began_ns, batch_size)
        return Answer(found, (counts == LOST).tolist())
    except (error, ValueError) as broken:
        raise MessageError(f"no answer: {broken}") from broken


def _numbers(body: bytes, start: int, kind: np.dtype, count: int) -> tuple[np.ndarray, int]:
    """So many numbers, and where they end."""
    end = start + kind.itemsize * count
    if end > len(body):
        raise MessageError(f"{len(body)} bytes where {end} are announced")
    return np.frombuffer(body, kind, count, start), end
