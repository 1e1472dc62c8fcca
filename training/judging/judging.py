"""The contest: models and baselines answer the same questions.

N examples   V items   W items, the fresh ones after them   T predicted types   U types and silence
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx

from features.artefact import (
    INPUTS,
    OUTPUTS,
    Contract,
    load_content,
    load_items,
    no_fresh,
    verify,
)
from features.encoding import FIRST_ITEM_ROW, ItemIndex, encode
from features.vocabulary import Vocabulary
from training.export.export import GRAPH, Session, open_graph
from training.judging import baselines
from training.judging.baselines import Counts
from training.judging.evaluation import (
    Intent,
    Ranking,
    log_losses,
    ranks,
    rate_intent,
    rate_ranking,
)
from training.judging.examples import Examples

SCORES_AT_ONCE = 4_000_000  # examples x items


@dataclass(frozen=True, slots=True)
class Contest:
    """What is asked: next items as customers come, and intents at any moment."""

    arrivals: Examples
    moments: Examples
    arrival_count: int  # of how many the arrivals are drawn
    moment_count: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How well one contender did."""

    name: str
    ranking: Ranking
    intent: Intent | None
    rank_N: np.ndarray  # of the right item, by arrival; infinite where it is not known
    log_loss_N: np.ndarray | None  # by moment

    @property
    def metrics(self) -> dict[str, float]:
        """By the names that they have in the contract and in MLflow."""
        metrics = {
            "hr_at_10": self.ranking.hit_rate,
            "ndcg_at_10": self.ranking.ndcg,
            "mrr": self.ranking.mrr,
        }
        if self.intent is not None:
            metrics |= {"intent_log_loss": self.intent.log_loss, "intent_auc": self.intent.auc}
        return metrics


def judge_baselines(counts: Counts, contest: Contest) -> list[Standing]:
    """Popularity and Markov have a counterpart for intents."""
    moments = contest.moments
    frequency = baselines.intent_by_frequency(counts, moments)
    last_type = baselines.intent_by_last_type(counts, moments)
    return [
        _judge_baseline("popularity", baselines.by_popularity, counts, contest, frequency),
        _judge_baseline("recency", baselines.by_recency, counts, contest, None),
        _judge_baseline("Markov", baselines.by_last_step, counts, contest, last_type),
        _judge_baseline("VMIS-kNN", baselines.by_neighbours, counts, contest, None),
    ]


def _judge_baseline(
    name: str,
    score: baselines.Score,
    counts: Counts,
    contest: Contest,
    intent_NU: np.ndarray | None,
) -> Standing:
    ranked = [
        ranks(score(counts, baselines.named_items(each, counts.items)), right(each, counts.items))
        for each in in_chunks(contest.arrivals, len(counts.items.item_ids))
    ]
    return _standing(name, np.concatenate(ranked), intent_NU, contest)


def _standing(
    name: str, rank_N: np.ndarray, intent_NU: np.ndarray | None, contest: Contest
) -> Standing:
    if intent_NU is None:
        return Standing(name, rate_ranking(rank_N), None, rank_N, None)
    type_N = contest.moments.type_N
    intent, log_loss_N = rate_intent(intent_NU, type_N), log_losses(intent_NU, type_N)
    return Standing(name, rate_ranking(rank_N), intent, rank_N, log_loss_N)


def judge_artefact(
    name: str, directory: Path, vocabulary: Vocabulary, contest: Contest
) -> Standing:
    """Lets an artefact answer as it would in serving; raises ArtefactError if it must not serve."""
    contract = verify(directory, vocabulary)
    items = load_items(directory)
    graph = onnx.load(directory / GRAPH)
    answer = partial(_answer, contract=contract, items=items, fresh_ND1=_no_fresh(directory))
    scores = answer(_only(graph, *_tiles(graph)), contest.arrivals)
    ranked = [
        ranks(np.delete(score_NW, np.s_[contract.item_count :], axis=1), right(some, items))
        for some, score_NW in scores
    ]
    intents = answer(_only(graph, OUTPUTS[0]), contest.moments)
    intent_NU = np.concatenate([each_NU for _, each_NU in intents])
    return _standing(name, np.concatenate(ranked), intent_NU, contest)


def _no_fresh(directory: Path) -> np.ndarray:
    return no_fresh(len(load_content(directory).cold_D1))


def _tiles(model: onnx.ModelProto) -> list[str]:
    """Scores in the order of items: of each tile the best are taken, then of these if several."""
    tiles = [node.input[0] for node in model.graph.node if node.op_type == "TopK"]
    return tiles[: max(1, len(tiles) - 1)]


def _only(model: onnx.ModelProto, *outputs: str) -> Session:
    """The graph up to some values; what only others need is left out."""
    del model.graph.output[:]
    kind = onnx.TensorProto.FLOAT
    for output in outputs:
        model.graph.output.append(onnx.helper.make_tensor_value_info(output, kind, None))
    return open_graph(model)


def _answer(
    session: Session,
    examples: Examples,
    *,
    contract: Contract,
    items: ItemIndex,
    fresh_ND1: np.ndarray,
) -> Iterator[tuple[Examples, np.ndarray]]:
    """What the graph says to the examples, some at a time; everything is eligible."""
    eligible_EV = np.ones((1, contract.item_count + len(fresh_ND1)), bool)
    for some in in_chunks(examples, contract.item_count):
        tokens_BLF, context_BC = encode(
            some.histories,
            some.channel_N.tolist(),
            some.tick_N,
            items=items,
            max_length=contract.max_length,
        )
        weight_BT = np.ones((len(some), len(contract.predicted_types)), np.float32)
        mask_B, k = np.zeros(len(some), np.int64), np.array(1, np.int64)
        values = (tokens_BLF, context_BC, weight_BT, eligible_EV, mask_B, fresh_ND1, k)
        outputs = session.run(None, dict(zip(INPUTS, values, strict=True)))
        yield some, np.concatenate(outputs, axis=1)


def right(examples: Examples, items: ItemIndex) -> np.ndarray:
    """The index of the item that came; negative where the index lacks it."""
    return items.rows(examples.item_N).astype(np.int64) - FIRST_ITEM_ROW


def in_chunks(examples: Examples, item_count: int) -> Iterator[Examples]:
    """Examples in pieces whose scores fit into memory."""
    size = max(1, SCORES_AT_ONCE // max(item_count, 1))
    for start in range(0, len(examples), size):
        yield examples[np.arange(start, min(start + size, len(examples)))]
