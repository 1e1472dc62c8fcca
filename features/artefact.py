"""The model artefact: the directory in which training hands a model to serving.

    model.onnx        the graph; inputs and outputs as in INPUTS and OUTPUTS
    contract.json     what it was made for: see Contract
    items.parquet     item_id, in the order of the graph's item axis; interaction_count: how many it
                      has learnt from with each (older artefacts do not tell)
    popularity.json   {channel: [item index, ...]}, most popular first; "" holds all channels
    content.npz       how the vector of an item is made that the model has not been trained on
    golden.npz        inputs, the outputs that the graph must give for them, and how nearly:
                      float64 scalar `tolerance`
    NAME.npy          a constant of the graph that is too large for its file, if there are such
    manifest.json     sha256 of every other file
    manifest.sig      an Ed25519 signature of manifest.json, where whoever trained it signs

Nothing in it is ever unpickled, and the graph may name no file but these: see features.graph_file.

B customers   L tokens   F token fields   C context fields   V items   N fresh items   D width
E masks   T predicted types   K asked   D1 = D + 1
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from features.content import Content
from features.encoding import SCHEMA_VERSION, ItemIndex
from features.graph_file import tensors_not_finite, tensors_outside
from features.manifest import read_digests, verify_digest, write_digests
from features.sound import UNSOUND, ArtefactError, sound
from features.vocabulary import Vocabulary

INPUTS = (
    *("tokens_BLF", "context_BC", "weight_BT", "eligible_EV", "mask_B", "fresh_ND1"),
    "k",
)
"""int32 tokens (left-padded with 0), int32 context, float32 weight of each type in the ranking;
bool masks over all V + N items, int64 row of eligible_EV that holds for each customer; float32
vectors of N >= 1 fresh items with their bias in the last column; int64 scalar k <= V + N.

Fresh items are those that the model has not been trained on: item i of them has index V + i, and
token row R + i, where R = FIRST_ITEM_ROW + V. A row whose bias is ABSENT stands for no item."""
ABSENT = -1e9
OUTPUTS = ("intent_BU", "item_BK", "joint_BKT")
"""float32 P(type) with silence last (U = T + 1, each row sums to 1); int64 item index, ranked by
sum over T of weight * joint, best first; float32 P(type, item) of these items. Items that are not
eligible get probability 0 in the ranking and stand last."""

FILES = (
    *("model.onnx", "contract.json", "items.parquet", "popularity.json", "content.npz"),
    "golden.npz",
)
GRAPH = "model.onnx"
TABLE = ".npy"
COUNT = "interaction_count"  # a column of items.parquet
ROWS_AT_ONCE = 1 << 16  # of a table, when it is looked through

MODEL_NAME = "interplay"  # the registered model in MLflow
CHAMPION = "champion"  # the alias of the version that serves
ARTEFACT_PATH = "artefact"  # the directory within the artifacts of a version's run
FLOAT32, FLOAT16 = "float32", "float16"
GOLDEN_TOLERANCES = {FLOAT32: 1e-4, FLOAT16: 5e-3}
"""How far a graph may be from its trained model, absolutely, by the precision of item vectors."""
LOOSEST = max(GOLDEN_TOLERANCES.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What a model was made for, and how well it did."""

    schema_version: int  # features.encoding.SCHEMA_VERSION at training
    vocabulary_digest: str  # Vocabulary.digest at training
    predicted_types: tuple[str, ...]  # the axis T
    max_length: int  # tokens a customer at most
    horizon_days: float  # silence means: no predicted interaction for so long
    item_count: int  # V
    metrics: dict[str, float]  # of the evaluation on the time split
    lineage: dict[str, str]  # data snapshot, code version, settings, parent


def write_contract(directory: Path, contract: Contract) -> None:
    """Writes contract.json."""
    text = json.dumps(asdict(contract), indent=2, sort_keys=True)
    (directory / "contract.json").write_text(text + "\n")


def write_manifest(directory: Path, signing_key: Ed25519PrivateKey | None = None) -> None:
    """Seals the artefact: writes manifest.json, and signs it with a key; call it last."""
    names = [*FILES, *(each.name for each in _tables(directory / GRAPH).values())]
    write_digests(directory, names, signing_key)


def verify(directory: Path, vocabulary: Vocabulary, *, trusted_keys: str = "") -> Contract:
    """Checks files, digests, schema and vocabulary; raises ArtefactError. Runs no model.

    With a file of trusted keys one of them must have signed; it is read anew each time.
    """
    _verify_digests(directory, read_digests(directory, trusted_keys))
    _verify_weights(directory)
    contract = read_contract(directory)
    if contract.schema_version != SCHEMA_VERSION:
        raise ArtefactError(
            f"{directory}: encoded by schema {contract.schema_version}; this program encodes by "
            f"schema {SCHEMA_VERSION}: retrain"
        )
    if contract.vocabulary_digest != vocabulary.digest:
        raise ArtefactError(
            f"{directory}: trained with vocabulary {contract.vocabulary_digest}; the one in use "
            f"is {vocabulary.digest}: retrain"
        )
    if contract.predicted_types != vocabulary.predicted:
        raise ArtefactError(f"{directory}: predicts {contract.predicted_types}, not the vocabulary")
    return contract


def load_items(directory: Path) -> ItemIndex:
    """The items of the graph's item axis."""
    path = directory / "items.parquet"
    with sound(path):
        table = pq.read_table(path)
        item_ids = tuple(table["item_id"].to_pylist())
        if not all(isinstance(each, str) for each in item_ids):
            raise ValueError("an item_id is no text")
        if COUNT not in table.column_names:
            return ItemIndex(item_ids)
        count_V = table[COUNT].to_numpy()
        if count_V.dtype.kind not in "iu":
            raise ValueError(f"an {COUNT} is no whole number")
        return ItemIndex(item_ids, count_V)


def load_popularity(directory: Path) -> dict[str, list[int]]:
    """Item indices by channel, most popular first; "" holds all channels together."""
    path, V = directory / "popularity.json", read_contract(directory).item_count
    with sound(path):
        popularity: dict[str, list[int]] = json.loads(path.read_text())
        for channel in ("", *popularity):
            wrong = [each for each in popularity[channel] if each not in range(V)]
            if wrong:
                raise ValueError(f"{wrong[0]!r} of {channel!r} is none of {V} items")
        return popularity


def tolerance_of(golden: Mapping[str, np.ndarray]) -> float:
    """How near the outputs in golden.npz must be met; that of float32 where it does not say."""
    tolerance, most = float(golden.get("tolerance", GOLDEN_TOLERANCES[FLOAT32])), LOOSEST
    if not 0 <= tolerance <= most:  # NaN too
        raise ArtefactError(f"golden.npz has the tolerance {tolerance:g}; at most is {most:g}")
    return tolerance


def no_fresh(columns: int) -> np.ndarray:
    """The input fresh_ND1 where there is no fresh item."""
    fresh_ND1 = np.zeros((1, columns), np.float32)
    fresh_ND1[:, -1] = ABSENT
    return fresh_ND1


def load_content(directory: Path) -> Content:
    """`table_GD`, a vector for each bucket of content features (row 0: none, all 0), and `cold_D1`.

    `cold_D1` stands for what is an item's own and cannot be known yet: vector, then bias. The
    vector of an unseen item is cold_D1 plus, but for the bias, the sum of its rows of table_GD.
    `known_H` (uint32) are the features that training knew: any other has no row, though it would
    fall into a bucket.
    """
    path = directory / "content.npz"
    with sound(path), np.load(path, allow_pickle=False) as file:
        content = Content(**{name: file[name] for name in ("table_GD", "cold_D1", "known_H")})
        shapes = [each.shape for each in (content.table_GD, content.cold_D1, content.known_H)]
        (G, D), (D1,), (H,) = shapes
        least = 2 if H else 1
        if least > G or D1 != D + 1 or content.known_H.dtype.kind not in "iu":
            raise ValueError(f"its arrays have the shapes {shapes}")
        if not np.isfinite(content.table_GD).all() or not np.isfinite(content.cold_D1).all():
            raise ValueError("a weight is no finite number")
        return content


def load_tables(graph: Path) -> dict[str, np.ndarray]:
    """The constants that do not stand in the graph's file, by name: mapped, not read."""
    tables = {}
    for name, path in _tables(graph).items():
        with sound(path):
            tables[name] = np.load(path, mmap_mode="r", allow_pickle=False)
    return tables


def _tables(graph: Path) -> dict[str, Path]:
    """A graph could name any file of this machine: it may name its own tables, beside it, only."""
    with sound(graph):
        outside = tensors_outside(graph)
    for tensor, file in outside:
        if file != f"{tensor}{TABLE}" or Path(file).name != file:
            raise ArtefactError(f"{graph} keeps {tensor!r} in the file {file!r}: this is refused")
    return {tensor: graph.with_name(file) for tensor, file in outside}


def _verify_digests(directory: Path, digests: Mapping[str, str]) -> None:
    for name in FILES:
        verify_digest(directory, name, digests)
    for path in _tables(directory / GRAPH).values():
        verify_digest(directory, path.name, digests)


def _verify_weights(directory: Path) -> None:
    """Golden vectors do not reach every weight."""
    graph = directory / GRAPH
    wrong = tensors_not_finite(graph)
    for name, table in load_tables(graph).items():
        pieces = range(0, len(table), ROWS_AT_ONCE) if table.dtype.kind == "f" else ()
        if not all(np.isfinite(table[at : at + ROWS_AT_ONCE]).all() for at in pieces):
            wrong.append(name)
    if wrong:
        raise ArtefactError(f"{graph}: {wrong[0]!r} holds what is no finite number")


def read_contract(directory: Path) -> Contract:
    """What contract.json says, unverified; raises ArtefactError."""
    path = directory / "contract.json"
    try:
        fields = json.loads(path.read_text())
        contract = Contract(**{**fields, "predicted_types": tuple(fields["predicted_types"])})
        for size in (contract.item_count, contract.max_length):
            if not isinstance(size, int) or size < 1:
                raise ValueError(f"{size!r} is no number of items, or of tokens")
        return contract
    except UNSOUND as error:
        raise ArtefactError(f"{path} is no contract: {error!r}") from error
