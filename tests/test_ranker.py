"""The ranking is exact: the dense sum over all items gives the same, whatever the tiles.

B customers  T types  V items  K asked items  L tokens  S followers  W = V + N with fresh items
"""

import numpy as np
import pytest
import torch
from onnx import TensorProto
from torch import Tensor

from features.artefact import FLOAT16, FLOAT32, GOLDEN_TOLERANCES, INPUTS, OUTPUTS
from features.encoding import FIRST_ITEM_ROW, ITEM
from tests.test_model import trembling
from training.data.steps import Followers
from training.export.definition import define
from training.export.export import (
    FRESH,
    difference,
    open_graph,
    random_feeds,
    run_model,
    write_graph,
)
from training.export.ranker import Ranker
from training.model.model import Asked, Model, ModelConfig
from training.model.naming import Naming, within_reach

V, T, D, S = 50, 4, 8, 3
ROUNDING = 1e-6


@pytest.fixture(scope="module", params=[0, 4, 50])
def model(request: pytest.FixtureRequest) -> Model:
    return new_model(request.param)


def new_model(reach: int = 50) -> Model:
    rng = np.random.default_rng(0)
    row_RS = rng.integers(FIRST_ITEM_ROW, FIRST_ITEM_ROW + V, (FIRST_ITEM_ROW + V, S), np.int32)
    share_RS = rng.random((FIRST_ITEM_ROW + V, S), np.float32) / S
    share_RS[:FIRST_ITEM_ROW] = row_RS[:FIRST_ITEM_ROW] = 0
    followers = Followers(row_RS, share_RS, np.zeros(len(row_RS), np.float32))
    config = ModelConfig(
        item_count=V,
        type_count=T,
        content_buckets=2,
        width=D,
        heads=2,
        blocks=3,
        max_length=9,
        reach=reach,
    )
    torch.manual_seed(0)
    return trembling(Model(config, torch.zeros((V, 1), dtype=torch.long), followers))


def feeds_of(model: Model, *, seed: int, k: int = V + FRESH) -> dict[str, np.ndarray]:
    return random_feeds(Ranker(model), 7, 9, k, np.random.default_rng(seed))


def dense(model: Model, feeds: dict[str, np.ndarray]) -> tuple[Tensor, Tensor]:
    """Intents, and joint probabilities of all items (B, T, W), item by item as in model.py."""
    tokens_BLF, context_BC, fresh_ND1 = (
        torch.from_numpy(feeds[name]) for name in ("tokens_BLF", "context_BC", "fresh_ND1")
    )
    item_RD = torch.cat([model.items(), fresh_ND1[:, :-1]])
    bias_W = torch.cat([model.items.bias_V, fresh_ND1[:, -1]])
    asked = model(tokens_BLF, context_BC[:, None], item_RD)
    wish_BTD = model.wish(asked.state_BQD) + model.type_TD
    weight_BTW = (wish_BTD @ item_RD[FIRST_ITEM_ROW:].T + bias_W).double().exp()
    if model.naming:
        add_named(weight_BTW, model.naming, asked, tokens_BLF[..., ITEM].long())
    intent_BU = model.intent(asked.state_BQD[:, 0]).double().softmax(-1)
    share_BTW = weight_BTW / weight_BTW.sum(-1, keepdim=True)
    return intent_BU, share_BTW * intent_BU[:, :-1, None]


def add_named(weight_BTW: Tensor, naming: Naming, asked: Asked, row_BL: Tensor) -> None:
    """The newest tokens, one by one."""
    near = within_reach(row_BL, torch.ones(len(row_BL), 1, dtype=torch.bool), naming.reach)
    for at_type, type_Y in enumerate(naming.type_TY):
        logit_XBK = naming.logit(asked.state_BQD, type_Y, asked.x_BLD, asked.age_BQL, near)
        again_BK, next_BK = logit_XBK.double().exp()
        for customer, row_L in enumerate(row_BL.tolist()):
            weight_W = weight_BTW[customer, at_type]
            for ago, item in enumerate(row_L[::-1][: naming.reach]):
                if item >= FIRST_ITEM_ROW:
                    weight_W[item - FIRST_ITEM_ROW] += again_BK[customer, ago]
                if FIRST_ITEM_ROW <= item < FIRST_ITEM_ROW + V:
                    shares = naming.share_RS[item].tolist()
                    followers = naming.follower_RS[item].tolist()
                    for follower, share in zip(followers, shares, strict=True):
                        weight_W[follower - FIRST_ITEM_ROW] += share * next_BK[customer, ago]


@pytest.mark.parametrize("tile", [7, 25, 64])
def test_the_ranking_is_that_of_the_dense_sum(model: Model, tile: int) -> None:
    feeds = feeds_of(model, seed=tile)
    intent_BU, item_BK, joint_BKT = run_model(Ranker(model, tile=tile), feeds)
    with torch.no_grad():
        dense_intent_BU, dense_BTW = dense(model, feeds)
    eligible_BW = feeds["eligible_EV"][feeds["mask_B"]]
    right_BWT = np.where(eligible_BW[..., None], dense_BTW.movedim(1, 2).numpy(), 0)
    assert np.abs(intent_BU - dense_intent_BU.numpy()).max() <= ROUNDING
    assert (
        np.abs(joint_BKT - np.take_along_axis(right_BWT, item_BK[..., None], 1)).max() <= ROUNDING
    )
    score_BW = np.einsum("bwt,bt->bw", right_BWT, feeds["weight_BT"])
    assert np.sort(item_BK).tolist() == [list(range(V + FRESH))] * len(item_BK)
    assert (np.diff(np.take_along_axis(score_BW, item_BK, 1)) <= ROUNDING).all()


def test_the_definition_is_the_dense_sum(model: Model) -> None:
    feeds = feeds_of(model, seed=2)
    intent_BU, item_BK, joint_BKT = define(model, feeds)
    with torch.no_grad():
        dense_intent_BU, dense_BTW = dense(model, feeds)
    eligible_BW = feeds["eligible_EV"][feeds["mask_B"]]
    right_BWT = np.where(eligible_BW[..., None], dense_BTW.movedim(1, 2).numpy(), 0)
    assert np.abs(intent_BU - dense_intent_BU.numpy()).max() <= ROUNDING
    assert (
        np.abs(joint_BKT - np.take_along_axis(right_BWT, item_BK[..., None], 1)).max() <= ROUNDING
    )
    assert (np.diff((joint_BKT * feeds["weight_BT"][:, None]).sum(-1)) <= ROUNDING).all()


@pytest.mark.parametrize("tile", [7, 64])
def test_item_vectors_in_16_bits_are_nearly_as_exact(model: Model, tile: int) -> None:
    half = Ranker(model, tile=tile, precision=FLOAT16)
    feeds = feeds_of(model, seed=4)
    distance = difference(define(model, feeds), run_model(half, feeds), feeds)
    assert ROUNDING < distance <= GOLDEN_TOLERANCES[FLOAT16]


def test_every_item_vector_is_in_16_bits(model: Model) -> None:
    initializers = Ranker(model, precision=FLOAT16).graph().model_proto.graph.initializer
    halves = [each for each in initializers if each.data_type == TensorProto.FLOAT16]
    table, bias = sorted((list(each.dims) for each in halves), key=lambda dims: -dims[0])
    assert table[0] > FIRST_ITEM_ROW + V and table[1:] == [D]
    assert bias == [1, V]


@pytest.mark.parametrize("steepness", [30, 300])
def test_what_is_not_seen_counts_for_nothing_whatever_it_says(steepness: int) -> None:
    """Attention this steep gives logits that are hundreds apart."""
    model = new_model()
    with torch.no_grad():
        for block in model.blocks:
            block.attention.query.weight *= steepness  # type: ignore[union-attr, operator]
    for seed in range(5):
        feeds = feeds_of(model, seed=seed)
        given = run_model(Ranker(model), feeds)
        assert difference(define(model, feeds), given, feeds) <= GOLDEN_TOLERANCES[FLOAT32]


@pytest.mark.parametrize("bias", [-100.0, 60.0])
def test_biases_of_any_size_leave_no_overflow(bias: float) -> None:
    model = new_model()
    with torch.no_grad():
        model.items.bias_V.add_(bias)
    feeds = feeds_of(model, seed=1)
    given = run_model(Ranker(model, tile=7), feeds)
    assert difference(define(model, feeds), given, feeds) <= GOLDEN_TOLERANCES[FLOAT32]


def test_a_tiled_graph_gives_what_one_tile_gives(
    model: Model, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("tiled") / "model.onnx"
    write_graph(Ranker(model, tile=8), path)  # 50 = 6 * 8 + 2
    session = open_graph(path)
    for k in (1, 2, 10, V + FRESH):
        feeds = feeds_of(model, seed=k, k=k)
        whole = run_model(Ranker(model), feeds)
        assert difference(whole, session.run(OUTPUTS, feeds), feeds) <= ROUNDING


def test_a_fresh_item_with_the_vector_of_a_known_one_is_liked_as_much(model: Model) -> None:
    feeds = feeds_of(model, seed=1) | {"eligible_EV": np.ones((1, V + 1), bool)}
    feeds |= {"mask_B": np.zeros(7, np.int64), "k": np.array(V + 1)}
    feeds["tokens_BLF"][...] = 0  # nothing is named
    feeds["fresh_ND1"] = Ranker(model).vectors()[-1:].numpy()
    _, item_BK, joint_BKT = run_model(Ranker(model, tile=7), feeds)
    known_BT, fresh_BT = (joint_BKT[item_BK == index] for index in (V - 1, V))
    assert np.abs(known_BT - fresh_BT).max() <= ROUNDING
    assert known_BT.min() > 0


def test_each_customer_has_a_mask(model: Model) -> None:
    eligible_EV = np.zeros((2, V + FRESH), bool)
    eligible_EV[0, 5] = eligible_EV[1, V] = True
    masks = {"eligible_EV": eligible_EV, "mask_B": np.array([0, 1, 1, 0, 1, 0, 0])}
    _, item_BK, joint_BKT = run_model(Ranker(model, tile=7), feeds_of(model, seed=3, k=2) | masks)
    assert item_BK[:, 0].tolist() == [5, V, V, 5, V, 5, 5]
    assert (joint_BKT[:, 0].sum(-1) > 0).all()
    assert not joint_BKT[:, 1].any()


def test_inputs_are_in_the_order_of_the_contract(model: Model) -> None:
    assert tuple(feeds_of(model, seed=4)) == INPUTS
