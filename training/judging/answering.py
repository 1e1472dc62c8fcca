"""What an artefact answers, asked as serving asks it: known items by index, fresh ones by content.

N examples   V items, W with the fresh ones after them   K likeliest of them   T predicted types
U types and silence
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from features.artefact import (
    INPUTS,
    Contract,
    load_content,
    load_items,
    no_fresh,
    verify,
)
from features.content import Content
from features.encoding import FIRST_ITEM_ROW, ItemIndex, encode, rows_of
from features.item import Item
from features.vocabulary import Vocabulary
from training.export.export import GRAPH, Session, open_graph, read_graph
from training.export.graph import Written
from training.judging.evaluation import TOP
from training.judging.examples import Examples

SCORES_AT_ONCE = 4_000_000  # examples x items


@dataclass(frozen=True, slots=True)
class Moments:
    """What is said of each moment: which type comes, and the likeliest items, best first."""

    intent_NU: np.ndarray
    column_NK: np.ndarray
    likely_NK: np.ndarray  # the probability that each comes


@dataclass(frozen=True, slots=True)
class Answering:
    """An artefact that is ready to answer; of fresh items column V + i is item i."""

    directory: Path
    contract: Contract
    items: ItemIndex
    content: Content
    fresh: ItemIndex
    fresh_ND1: np.ndarray  # at least one row
    eligible_1W: np.ndarray  # with a column for each row

    @property
    def item_ids(self) -> tuple[str, ...]:
        """Of each column of scores; "" where none is to be found."""
        held = zip(self.items.item_ids, self.eligible_1W[0].tolist(), strict=False)
        return (*(name if eligible else "" for name, eligible in held), *self.fresh.item_ids)

    def columns(self, hashes: np.ndarray) -> np.ndarray:
        """Where the scores of items stand; negative for those that it cannot offer."""
        rows = rows_of(hashes, self.items, self.fresh)
        return rows.astype(np.int64) - FIRST_ITEM_ROW

    def scores(self, examples: Examples) -> Iterator[tuple[Examples, np.ndarray]]:
        """Some examples at a time, with how probable each item is (N, W)."""
        graph = read_graph(self.directory / GRAPH)
        session, width = _only(graph, _tiles(graph)), len(self.item_ids)
        for some, outputs in self._answers(session, examples):
            yield some, np.concatenate(outputs, axis=1)[:, :width]

    def moments(self, examples: Examples) -> Moments:
        """As served."""
        session, most = open_graph(self.directory / GRAPH), min(TOP, int(self.eligible_1W.sum()))
        answers = [outputs for _, outputs in self._answers(session, examples, most=most)]
        intents, items, joints = zip(*answers, strict=True)
        likely_NK = np.concatenate([joint_NKT.sum(axis=2) for joint_NKT in joints])
        return Moments(np.concatenate(intents), np.concatenate(items), likely_NK)

    def _answers(
        self, session: Session, examples: Examples, *, most: int = 1
    ) -> Iterator[tuple[Examples, list[np.ndarray]]]:
        for some in in_chunks(examples, self.eligible_1W.shape[1]):
            tokens_BLF, context_BC = encode(
                some.histories,
                some.channel_N.tolist(),
                some.tick_N,
                items=self.items,
                max_length=self.contract.max_length,
                fresh=self.fresh,
            )
            weight_BT = np.ones((len(some), len(self.contract.predicted_types)), np.float32)
            mask_B, k = np.zeros(len(some), np.int64), np.array(most, np.int64)
            given = (tokens_BLF, context_BC, weight_BT, self.eligible_1W, mask_B)
            feeds = dict(zip(INPUTS, (*given, self.fresh_ND1, k), strict=True))
            yield some, session.run(None, feeds)


def answering(
    directory: Path, vocabulary: Vocabulary, described: Sequence[Item], *, trusted_keys: str = ""
) -> Answering:
    """Described items that the model does not know are fresh; raises ArtefactError."""
    contract = verify(directory, vocabulary, trusted_keys=trusted_keys)
    items = load_items(directory)
    unknown = [each for each in described if each.item_id not in items.index_by_id]
    known_V = np.ones(contract.item_count, bool)
    return _with_fresh(directory, contract, items, load_content(directory), unknown, known_V)


def as_unknown(
    artefact: Answering, described: Sequence[Item], hidden: Collection[str]
) -> Answering:
    """The same, as if the model did not know the hidden items: they are fresh as well."""
    names = artefact.items.item_ids
    known_V = np.array([each not in hidden for each in names])
    renamed = (
        name if known else f"\0{name}"  # no item id begins with it
        for name, known in zip(names, known_V.tolist(), strict=True)
    )
    items = ItemIndex(tuple(renamed))
    unknown = [each for each in described if each.item_id not in items.index_by_id]
    return _with_fresh(
        artefact.directory, artefact.contract, items, artefact.content, unknown, known_V
    )


def _with_fresh(
    directory: Path,
    contract: Contract,
    items: ItemIndex,
    content: Content,
    fresh: Sequence[Item],
    known_V: np.ndarray,
) -> Answering:
    nothing_1D1 = no_fresh(len(content.cold_D1))
    fresh_ND1 = content.vectors(fresh) if fresh else nothing_1D1
    return Answering(
        directory=directory,
        contract=contract,
        items=items,
        content=content,
        fresh=ItemIndex(tuple(each.item_id for each in fresh)),
        fresh_ND1=fresh_ND1,
        eligible_1W=np.append(known_V, np.ones(len(fresh_ND1), bool))[None],
    )


def in_chunks(examples: Examples, item_count: int) -> Iterator[Examples]:
    """Examples in pieces whose scores fit into memory."""
    size = max(1, SCORES_AT_ONCE // max(item_count, 1))
    for start in range(0, len(examples), size):
        yield examples[np.arange(start, min(start + size, len(examples)))]


def _tiles(graph: Written) -> list[str]:
    """Scores in the order of items: of each tile the best are taken, then of these if several."""
    tiles = [node.input[0] for node in graph.model_proto.graph.node if node.op_type == "TopK"]
    return tiles[: max(1, len(tiles) - 1)]


def _only(graph: Written, outputs: Sequence[str]) -> Session:
    """The graph up to some values; what only others need is left out."""
    given, kind = graph.model_proto.graph.output, onnx.TensorProto.FLOAT
    del given[:]
    given.extend(onnx.helper.make_tensor_value_info(each, kind, None) for each in outputs)
    return open_graph(graph)
