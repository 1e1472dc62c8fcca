"""What is exported is what was trained: for any size, in onnxruntime, and in serving's hands."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from features.artefact import (
    FLOAT32,
    GOLDEN_TOLERANCES,
    INPUTS,
    OUTPUTS,
    ArtefactError,
    load_items,
    load_popularity,
    no_fresh,
    verify,
)
from serving.model.scorer import Scorer
from tests.contests import write_artefact
from tests.sequences import ITEMS, VOCABULARY, on_day, packed, plan, sequences, shoppers
from tests.test_model import trembling
from training.data.questions import Asking, Questions, ask, type_index
from training.data.sequences import Sequences
from training.export import reading
from training.export.export import (
    GRAPH,
    ExportError,
    check_parity,
    difference,
    open_graph,
    random_feeds,
    run_model,
    write_graph,
)
from training.export.ranker import Ranker
from training.judging.baselines import Counts, count
from training.judging.examples import Examples, draw
from training.learning.plan import new_model
from training.model.attention import seconds_of

V, T = len(ITEMS.item_ids), len(VOCABULARY.predicted)
TYPES = type_index(VOCABULARY)


def asking(several: Sequences) -> Questions:
    rule = Asking(horizon_ticks=plan().horizon_ticks)
    return ask(several, TYPES, rule, np.random.default_rng(0))


@pytest.fixture(scope="module")
def ranker() -> Ranker:
    return Ranker(trembling(new_model(plan())))


@pytest.fixture(scope="module")
def several() -> Sequences:
    shop = packed(on_day(1, 4, channel="kiosk"), on_day(2, 4, channel="kiosk"))
    return sequences(*shoppers(20), shop)


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory, ranker: Ranker, several: Sequences) -> Path:
    """A whole artefact of an untrained model."""
    directory = tmp_path_factory.mktemp("artefact")
    counts: Counts = count([several], asking, ITEMS, T)
    examples: Examples = draw([several], asking, size=50, max_records=100, seed=0)[0]
    return write_artefact(directory, counts, examples, ranker)


def test_the_graph_gives_what_the_model_gives_at_all_corners(
    artefact: Path, ranker: Ranker
) -> None:
    assert check_parity(ranker, artefact / GRAPH) <= GOLDEN_TOLERANCES[FLOAT32]


@pytest.mark.parametrize("B", [1, 2, 33])
@pytest.mark.parametrize("L", [0, 1, 2, 6])
def test_any_size_of_batch_and_history_will_do(
    artefact: Path, ranker: Ranker, B: int, L: int
) -> None:
    feeds = random_feeds(ranker, B, L, V, np.random.default_rng(B + L))
    given = open_graph(artefact / GRAPH).run(OUTPUTS, feeds)
    assert [each.shape for each in given] == [(B, T + 1), (B, V), (B, V, T)]
    assert difference(run_model(ranker, feeds), given, feeds) <= GOLDEN_TOLERANCES[FLOAT32]


def test_another_model_is_told_apart(artefact: Path) -> None:
    other = Ranker(trembling(new_model(plan(seed=2))))
    with pytest.raises(ExportError, match=r"differs from the trained model by 0\.\d"):
        check_parity(other, artefact / GRAPH)


def test_parity_is_with_the_model_itself(
    ranker: Ranker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong graph does not confirm itself: here its gaps are a thousand times as long."""
    monkeypatch.setattr(reading, "seconds_of", lambda gap: 1000 * seconds_of(gap))
    write_graph(ranker, tmp_path / GRAPH)
    with pytest.raises(ExportError, match=r"differs from the trained model by 0\.\d"):
        check_parity(ranker, tmp_path / GRAPH)


def test_items_that_are_not_eligible_stand_last_with_nothing(artefact: Path) -> None:
    feeds = random_feeds_of_one(eligible=[False, True, True, False, True, True])
    _, item_BK, joint_BKT = open_graph(artefact / GRAPH).run(OUTPUTS, feeds)
    assert set(item_BK[0, -2:].tolist()) == {0, 3}
    assert not joint_BKT[0, -2:].any()
    assert joint_BKT[0, :-2].sum(-1).all()


def random_feeds_of_one(eligible: list[bool]) -> dict[str, np.ndarray]:
    tokens_BLF = np.zeros((1, 1, 6), np.int32)
    context_BC, weight_BT = np.array([[1, 0]], np.int32), np.ones((1, T), np.float32)
    eligible_EV, fresh_ND1 = np.array([[*eligible, False]]), no_fresh(plan().settings.width + 1)
    asked = (eligible_EV, np.array([0]), fresh_ND1, np.array(V))
    return dict(zip(INPUTS, (tokens_BLF, context_BC, weight_BT, *asked), strict=True))


def test_the_weight_of_a_type_moves_the_ranking(artefact: Path) -> None:
    graph, feeds = open_graph(artefact / GRAPH), random_feeds_of_one([True] * V)
    orders = []
    for type_ in range(T):
        feeds["weight_BT"] = np.eye(T, dtype=np.float32)[[type_]]
        _, item_BK, joint_BKT = graph.run(OUTPUTS, feeds)
        assert (np.diff(joint_BKT[0, :, type_]) <= 0).all()
        orders.append(tuple(item_BK[0].tolist()))
    assert len(set(orders)) > 1


def test_serving_takes_the_artefact(artefact: Path) -> None:
    assert verify(artefact, VOCABULARY).item_count == V
    scorer = Scorer(artefact, VOCABULARY, threads=1)
    scorer.warm_up(max_batch=4)
    assert load_items(artefact) == ITEMS


def test_serving_sees_a_graph_that_was_exchanged(artefact: Path, tmp_path: Path) -> None:
    for path in artefact.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    graph = bytearray((tmp_path / GRAPH).read_bytes())
    graph[len(graph) // 2] ^= 1
    (tmp_path / GRAPH).write_bytes(graph)
    with pytest.raises(ArtefactError, match=r"model\.onnx does not match its sha256"):
        verify(tmp_path, VOCABULARY)


def test_golden_holds_real_histories_and_an_empty_one(artefact: Path) -> None:
    with np.load(artefact / "golden.npz") as golden:
        lengths = (golden["tokens_BLF"][..., 1] > 0).sum(axis=1)
    assert len(lengths) >= 3
    assert lengths[-1] == 0
    assert lengths.max() == 6


def test_popularity_by_channel(artefact: Path) -> None:
    popularity = load_popularity(artefact)
    assert popularity["other"] == [4]  # the kiosk is in no list of channels
    assert sorted(popularity[""]) == [0, 1, 2, 3, 4, 5]
    assert pq.read_table(artefact / "items.parquet")["item_id"].to_pylist() == list(ITEMS.item_ids)


def test_how_often_items_were_met_stands_beside_them(artefact: Path, several: Sequences) -> None:
    counted = load_items(artefact).count_V
    assert counted is not None
    assert counted.tolist() == count([several], asking, ITEMS, T).popularity_V.tolist()
    assert counted.min() > 0
