"""What stands beside the graph in an artefact, and the whole of it in one directory."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from features.artefact import (
    COUNT,
    GOLDEN_TOLERANCES,
    INPUTS,
    OUTPUTS,
    Contract,
    no_fresh,
    write_contract,
    write_manifest,
)
from features.content import Content
from features.encoding import FIRST_ITEM_ROW, UNKNOWN_ITEM_ROW, ItemIndex, encode
from features.vocabulary import OTHER_CHANNEL, OTHER_CHANNEL_CODE, Vocabulary
from training.data.items import KnownItems
from training.export.definition import define
from training.export.export import Feeds
from training.export.ranker import Ranker
from training.judging.baselines import Counts
from training.judging.examples import Examples
from training.model.items import Items

GOLDEN_HISTORIES = 7
GOLDEN_K = 10
MOST_POPULAR = 1000
SELDOM = 5  # interactions: what so few have left is what an unseen item is most like


def write_companions(
    directory: Path,
    ranker: Ranker,
    counts: Counts,
    examples: Examples,
    vocabulary: Vocabulary,
    known: KnownItems,
) -> None:
    """Writes all but the graph and the contract."""
    items = counts.items
    table = pa.table({"item_id": list(items.item_ids), COUNT: counts.popularity_V})
    pq.write_table(table, directory / "items.parquet")
    popularity = json.dumps(_popularity(counts, vocabulary))
    (directory / "popularity.json").write_text(popularity + "\n")
    content = content_of(ranker.model.items, known.feature_H, counts.popularity_V)
    np.savez(directory / "content.npz", **vars(content))
    feeds = _golden_feeds(ranker, items, examples)
    golden = dict(zip(OUTPUTS, define(ranker.model, feeds), strict=True))
    tolerance = np.array(GOLDEN_TOLERANCES[ranker.precision])
    np.savez(directory / "golden.npz", **feeds, **golden, tolerance=tolerance)  # type: ignore[arg-type]


def seal(directory: Path, contract: Contract, signing_key: Ed25519PrivateKey | None = None) -> None:
    """Writes contract and manifest, signed with a key: from now on nothing may change."""
    write_contract(directory, contract)
    write_manifest(directory, signing_key)


def content_of(items: Items, feature_H: np.ndarray, count_V: np.ndarray) -> Content:
    """What the model makes of descriptions, and has in the place of a new item's own part."""
    table_GD = items.content.weight.detach().numpy().copy()
    table_GD[items.content.padding_idx] = 0  # torch passes it over, whatever it holds
    return Content(table_GD, _cold(items, count_V), feature_H)


def _cold(items: Items, count_V: np.ndarray) -> np.ndarray:
    """What the model has learnt of new items; else what those have that were seldom seen (D1)."""
    own_RD = items.own.weight.detach().numpy()
    if items.as_new:
        return np.append(own_RD[UNKNOWN_ITEM_ROW], items.new_bias_1.detach().numpy())
    own_VD1 = np.column_stack([own_RD[FIRST_ITEM_ROW:], items.bias_V.detach().numpy()])
    seldom_V = (count_V >= 1) & (count_V <= SELDOM)
    return own_VD1[seldom_V if seldom_V.any() else slice(None)].mean(0)


def _popularity(counts: Counts, vocabulary: Vocabulary) -> dict[str, list[int]]:
    names = {**vocabulary.channel_by_code, OTHER_CHANNEL_CODE: OTHER_CHANNEL}
    by_channel = {names[code]: count_V for code, count_V in counts.popularity_by_channel.items()}
    return {
        channel: _most_popular(count_V)
        for channel, count_V in {"": counts.popularity_V, **by_channel}.items()
    }


def _most_popular(count_V: np.ndarray) -> list[int]:
    ordered = np.argsort(-count_V, kind="stable")[:MOST_POPULAR]
    return [int(each) for each in ordered if count_V[each]]


def _golden_feeds(ranker: Ranker, items: ItemIndex, examples: Examples) -> Feeds:
    """Real histories of all lengths, and an empty one; the last item is eligible as a fresh one."""
    spread = np.linspace(0, len(examples) - 1, GOLDEN_HISTORIES).astype(int)
    chosen = examples[np.unique(spread)] if len(examples) else examples
    channels = np.append(chosen.channel_N, chosen.channel_N[:1] if len(chosen) else [1])
    ticks = np.append(chosen.tick_N, 0)
    config = ranker.model.config
    histories = [*chosen.histories, b""]
    tokens_BLF, context_BC = encode(
        histories, channels.tolist(), ticks, items=items, max_length=config.max_length
    )
    V, last_1D1 = len(items.item_ids), ranker.vectors()[-1:].numpy()
    fresh_ND1 = np.concatenate([last_1D1, no_fresh(last_1D1.shape[1])])
    eligible_EV = ~np.isin(np.arange(V + len(fresh_ND1)), [V - 1, V + 1])[None]
    weight_BT = np.ones((len(tokens_BLF), config.type_count), np.float32)
    mask_B, k = np.zeros(len(tokens_BLF), np.int64), np.array(min(GOLDEN_K, V), np.int64)
    values = (tokens_BLF, context_BC, weight_BT, eligible_EV, mask_B, fresh_ND1, k)
    return dict(zip(INPUTS, values, strict=True))
