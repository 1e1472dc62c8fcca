"""What frontends and the engine say to each other: the same comes out, and garbage is refused."""

import asyncio
import struct
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from features.artefact import load_content, load_popularity
from features.record import RECORD_BYTES
from features.vocabulary import load_vocabulary
from serving.engine.messages import (
    Kind,
    MessageError,
    Part,
    message,
    pack_answer,
    pack_model,
    pack_questions,
    parts_of,
    receive,
    unpack_answer,
    unpack_model,
    unpack_questions,
)
from serving.items.catalog import Catalog
from serving.items.filters import parse_filter
from serving.model.registry import Model, Outline
from serving.model.scorer import Scorer
from serving.model.scoring import Asked, Found
from serving.policy.ranking import Best
from serving.question import Boost, Question
from tests.artefacts import write_artefact

CATALOG = Catalog(())
T = len(load_vocabulary().predicted)
WEIGHTS = bytes(4 * T)  # of one question


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    directory = write_artefact(tmp_path_factory.mktemp("model") / "artefact")
    scorer = Scorer(directory, load_vocabulary(), threads=1)
    outline = Outline(scorer.contract, scorer.items, scorer.provider)
    return Model("7", outline, load_popularity(directory), load_content(directory))


def asked(model: Model, history: bytes, asked_ns: int, **question: object) -> Asked:
    fields = {"customer_key": "", "channel": "web", "k": 3} | question
    weight_T = np.arange(T, dtype=np.float32)
    asked_ = Question(**fields)  # type: ignore[arg-type]
    return Asked(model, CATALOG, asked_, history, asked_ns, weight_T, asked_.k)


def test_questions_come_out_as_they_went_in(model: Model) -> None:
    boosts = (Boost(parse_filter("price < 2"), "", 1.0), Boost(None, "a", 1.0))
    batch = [
        asked(model, b"", 20),
        asked(model, bytes(2 * RECORD_BYTES), 20, channel="kiosk", candidates=("b", "a"), k=1),
        asked(model, bytes(RECORD_BYTES), 20, excluded=frozenset({"käse", "a b"})),
        asked(model, b"", 20, muted=frozenset({"brand:Alpina"}), excluded=frozenset({"a"})),
        asked(model, b"", 20, filter=parse_filter('category == "new\nline"'), candidates=("a",)),
        asked(model, b"", 20, boosts=boosts, pinned=("b", "a"), new_items=16, new_below=5),
    ]
    unpacked = unpack_questions(pack_questions(batch), model, CATALOG)
    assert [said(each) for each in unpacked] == [said(each) for each in batch]


def test_what_the_policy_adds_goes_to_the_engine_in_one_text(model: Model) -> None:
    cheap, shoes, made = map(parse_filter, ("price < 2", 'category == "shoes"', 'brand == "x"'))
    rules, boosts = (cheap, shoes), (Boost(cheap, "", 2.0), Boost(shoes, "", 3.0))
    question = {"rules": rules, "filter": made, "boosts": boosts, "owned": frozenset({"b"})}
    body = pack_questions([asked(model, b"", 1, excluded=frozenset({"a"}), **question)])
    (unpacked,) = unpack_questions(body, model, CATALOG)
    assert unpacked.question.excluded == {"a", "b"}
    both = '(price < 2) && (category == "shoes") && (brand == "x")'
    assert unpacked.question.filter == parse_filter(both)
    either = parse_filter('(price < 2) || (category == "shoes")')
    assert unpacked.question.boosts == (Boost(either, "", 1.0),)


def said(asked: Asked) -> tuple[object, ...]:
    weights = asked.weight_T.tolist()
    return asked.question, asked.history, asked.asked_ns, weights, asked.most


def test_a_batch_was_asked_when_its_oldest_question_was(model: Model) -> None:
    body = pack_questions([asked(model, b"", 30), asked(model, b"", 20)])
    assert [each.asked_ns for each in unpack_questions(body, model, CATALOG)] == [20, 20]


def test_nobodys_name_goes_to_the_engine(model: Model) -> None:
    assert b"ada" not in pack_questions([asked(model, b"", 1, customer_key="c:ada")])


def test_answers_come_out_as_they_went_in(model: Model) -> None:
    joint_NT = np.arange(3 * T, dtype=np.float32).reshape(3, T)
    intent_BU = np.arange(2 * (T + 1), dtype=np.float32).reshape(2, T + 1)
    price_N = np.array([0.0, 2.5, 8.0])
    best = Best([2, 1], ["a", "b", "käse"], price_N, joint_NT, intent_BU)
    found = Found(best, "7", 8, 5, 2)
    first, second = parts_of(found)
    answer = unpack_answer(pack_answer([first, None, second], model))
    assert answer.lost == [False, True, False]
    assert answer.found.best.count_B == [2, 0, 1]
    assert answer.found.best.item_ids == ["a", "b", "käse"]
    assert np.array_equal(answer.found.best.price_N, price_N)
    assert np.array_equal(answer.found.best.joint_NT, joint_NT)
    assert np.array_equal(answer.found.best.intent_BU[[0, 2]], intent_BU)
    rest = answer.found
    assert (rest.version, rest.max_length, rest.began_ns, rest.batch_size) == ("7", 8, 5, 2)


@pytest.mark.parametrize("parts", [[None], [None, None]])
def test_an_answer_may_hold_nothing(model: Model, parts: list[Part | None]) -> None:
    answer = unpack_answer(pack_answer(parts, model))
    assert answer.lost == [True] * len(parts)
    assert answer.found.best.item_ids == []


def test_a_model_comes_out_as_it_went_in() -> None:
    assert unpack_model(pack_model("7", "CPUExecutionProvider")) == ("7", "CPUExecutionProvider")
    assert unpack_model(pack_model("", "")) == ("", "")
    with pytest.raises(MessageError, match="no model"):
        unpack_model(b"7")


@given(junk=st.binary(max_size=200), at=st.integers(0, 200))
@example(junk=b"\x00\x00\x00\x81\x00\x00\x00\xff", at=4)  # more numbers than a machine counts
def test_what_is_broken_is_refused_or_means_something_else(
    model: Model, junk: bytes, at: int
) -> None:
    questions = pack_questions([asked(model, bytes(RECORD_BYTES), 1, candidates=("a", "b"))])
    answer = pack_answer([None], model)
    for whole, unpack in (
        (questions, lambda body: unpack_questions(body, model, CATALOG)),
        (answer, unpack_answer),
    ):
        accepted(unpack, junk)
        accepted(unpack, whole[:at] + junk + whole[at + len(junk) :])
        if at < len(whole) - 8:
            assert not accepted(unpack, whole[:at])


def accepted(unpack: Callable[[bytes], object], body: bytes) -> bool:
    try:
        unpack(body)
    except MessageError:
        return False
    return True


def head(*size: int) -> bytes:
    """Of one question; what is not said is 0."""
    return struct.pack("<Iq11Iq", 1, 1, *size, *[0] * (12 - len(size)))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (struct.pack("<Iq", 0, 1), "0 questions"),
        (struct.pack("<Iq", 2**32 - 1, 1), "12 bytes where [0-9]+ are announced"),
        (head() + WEIGHTS + b"web", "0 items are asked"),
        (
            head(1, 1) + WEIGHTS + b"xweb",
            "the history has 1 bytes",
        ),
        (head(1, 0, 9) + WEIGHTS + b"web", "bytes where"),
        (head(1, 0, 3) + WEIGHTS + b"???web", "position 1"),
        (head(1) + WEIGHTS + b"\xff", "utf-8"),
    ],
)
def test_a_refusal_says_what_is_wrong(model: Model, changes: bytes, told: str) -> None:
    with pytest.raises(MessageError, match=told):
        unpack_questions(changes, model, CATALOG)


def received(sent: bytes) -> tuple[Kind, bytes]:
    async def read() -> tuple[Kind, bytes]:
        reader = asyncio.StreamReader()
        reader.feed_data(sent)
        reader.feed_eof()
        return await receive(reader)

    return asyncio.run(read())


def test_messages_have_a_length_and_a_kind() -> None:
    assert received(message(Kind.MODEL, b"7\nCPU")) == (Kind.MODEL, b"7\nCPU")
    assert received(message(Kind.RENEW)) == (Kind.RENEW, b"")
    with pytest.raises(EOFError):
        received(message(Kind.MODEL, b"7\nCPU")[:-1])
    with pytest.raises(MessageError, match="kind 9"):
        received(struct.pack("<IB", 0, 9))
    with pytest.raises(MessageError, match="4294967295 bytes"):
        received(b"\xff\xff\xff\xff\x01")
