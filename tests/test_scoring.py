"""Scoring: a batch gets in one run what each question would get by sorting the whole catalog."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.artefact import load_content, load_popularity
from features.item import Item
from features.record import pack
from features.vocabulary import load_vocabulary
from serving.items.catalog import Catalog
from serving.items.eligibility import OVER_FETCH, eligible_for
from serving.items.filters import parse_filter
from serving.metrics import Metrics
from serving.model.registry import Model
from serving.model.scorer import Scorer
from serving.model.scoring import Asked, Scored, popular, score
from serving.question import Question
from tests.artefacts import FRESH_BIAS, write_artefact
from tests.interactions import interaction
from tests.policies import even_terms

VOCABULARY = load_vocabulary()
TERMS = even_terms()
KNOWN = tuple(f"k{number}" for number in range(8))
FRESH = tuple(f"f{number}" for number in range(4))
EVERY = (*KNOWN, *FRESH, "unheard-of")
MANY = tuple(f"unheard-of-{number}" for number in range(OVER_FETCH))
FILTERS = {
    "": lambda item: True,
    '"new" in tags': lambda item: "new" in item.tags,
    "price < 5": lambda item: item.price is not None and item.price < 5,
    '!("new" in tags) || price >= 5': lambda item: (
        "new" not in item.tags or (item.price is not None and item.price >= 5)
    ),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    directory = write_artefact(tmp_path_factory.mktemp("model") / "artefact", item_ids=KNOWN)
    scorer = Scorer(directory, VOCABULARY, threads=1)
    return Model("1", scorer, load_popularity(directory), load_content(directory))


def asked(model: Model, catalog: Catalog, seen: list[str], question: Question) -> Asked:
    records = [pack(interaction(n, item_id=each), VOCABULARY) for n, each in enumerate(seen)]
    most = question.k + len(EVERY)
    history = b"".join(records)
    return Asked(model, catalog, question, history, 0, TERMS.weight_T, most, TERMS)


def question(k: int = 10, channel: str = "web", **changes: object) -> Question:
    return Question(**({"customer_key": "c:ada", "channel": channel, "k": k} | changes))  # type: ignore[arg-type]


def names(scored: Scored) -> list[str]:
    return [each.item_id for each in scored.ranked]


items = st.lists(
    st.builds(
        Item,
        item_id=st.sampled_from((*KNOWN, *FRESH)),
        unavailable=st.booleans(),
        price=st.none() | st.integers(0, 9),
        tags=st.sampled_from([(), ("new",), ("old", "new")]),
    ),
    unique_by=lambda item: item.item_id,
)
few = st.lists(st.sampled_from(EVERY), max_size=9)


@dataclass(frozen=True)
class Case:
    """A question, and what its customer has seen."""

    seen: list[str]
    k: int
    candidates: list[str]
    excluded: list[str]
    many_excluded: bool
    filter: str

    @property
    def question(self) -> Question:
        more = MANY if self.many_excluded else ()
        return question(
            self.k,
            candidates=tuple(self.candidates),
            excluded=frozenset((*self.excluded, *more)),
            filter=parse_filter(self.filter) if self.filter else None,
        )


cases = st.builds(
    Case,
    seen=st.lists(st.sampled_from(EVERY), max_size=8),
    k=st.integers(1, 15),
    candidates=st.just([]) | few,
    excluded=few,
    many_excluded=st.booleans(),
    filter=st.sampled_from(list(FILTERS)),
)


def expected(case: Case, held: list[Item]) -> list[str]:
    """The graph of tests.artefacts, in words: how often an item was seen, else the first first."""
    places = [*KNOWN, *(item.item_id for item in held if item.item_id in FRESH)]
    competing = [
        item.item_id
        for item in held
        if not item.unavailable
        and FILTERS[case.filter](item)
        and item.item_id not in case.excluded
        and (not case.candidates or item.item_id in case.candidates)
    ]

    def logit(item_id: str) -> float:
        at = places.index(item_id)
        return case.seen.count(item_id) + (-0.01 * at if at < len(KNOWN) else FRESH_BIAS)

    return sorted(competing, key=lambda each: (-logit(each), places.index(each)))[: case.k]


@settings(max_examples=200)
@given(held=items, batch=st.lists(cases, min_size=1, max_size=6))
def test_each_gets_the_best_k_of_what_competes_for_them(
    model: Model, held: list[Item], batch: list[Case]
) -> None:
    catalog = Catalog(held, model.scorer.items, model.content)
    questions = [asked(model, catalog, each.seen, each.question) for each in batch]
    scored = score(questions, metrics=Metrics())
    assert [names(each) for each in scored] == [expected(each, held) for each in batch]
    assert not any(each.popular for each in scored)
    for case, each in zip(batch, questions, strict=True):
        instead = names(popular(model, catalog, each.question))
        assert sorted(instead) == sorted(set(instead))
        eligible = expected(Case(**(vars(case) | {"k": 99})), held)
        assert set(instead) <= set(eligible)
        assert len(instead) == min(case.k, len(eligible))


def test_questions_share_a_mask_wherever_they_can(model: Model) -> None:
    catalog = Catalog([Item(item_id=each) for each in KNOWN], model.scorer.items, model.content)
    new = parse_filter("price != 1")
    questions = [
        question(),
        question(excluded=frozenset({"k1", "unheard-of"})),
        question(filter=new),
        question(filter=new, excluded=frozenset({"k2"})),
        question(candidates=("k1", "k2")),
        question(candidates=("k1", "k2"), filter=new, excluded=frozenset({"k1"})),
        question(excluded=frozenset({*MANY, "k3"}), k=100),
    ]
    k_B = [each.k for each in questions]
    eligible = eligible_for(questions, catalog.masks, k_B)
    assert eligible.mask_B.tolist() == [0, 0, 1, 1, 2, 3, 4]
    assert eligible.eligible_EV.sum(axis=1).tolist() == [8, 8, 2, 1, 7]
    assert eligible_for(questions[:2], catalog.masks, [10, 16]).k == 18
    assert eligible_for(questions, catalog.masks, k_B).k == 8 + 64  # all that there are


def test_one_broken_question_does_not_spoil_its_batch(
    model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    catalog = Catalog([Item(item_id=each) for each in KNOWN], model.scorer.items, model.content)
    channels = ["web"] * 32
    channels[13] = "hologram"  # the graph of tests.artefacts cannot run for it
    batch = [asked(model, catalog, ["k5"], question(2, channel=each)) for each in channels]
    scored = score(batch, metrics=Metrics())
    assert [each.popular for each in scored] == [each == "hologram" for each in channels]
    assert names(scored[13]) == ["k2", "k1"]
    assert {tuple(names(each)) for each in scored if not each.popular} == {("k5", "k0")}
    assert "1 of 32 questions cannot be scored" in caplog.text


def test_where_none_can_be_scored_the_batch_fails(model: Model) -> None:
    catalog = Catalog([], model.scorer.items, model.content)
    batch = [asked(model, catalog, [], question(channel="hologram"))] * 5
    with pytest.raises(Exception, match="indices element out of data bounds"):
        score(batch, metrics=Metrics())
