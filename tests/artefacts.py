"""A tiny genuine model artefact, and a registry to publish it in.

Its graph scores an item by how often the customer's tokens name it, and a type by how often they
are of that type:

    P(item) = softmax over eligible items of count(item) - 0.01 * index; fresh ones: + bias
    P(type) = softmax of count(type), silence counting once
    P(type, item) = P(type) * P(item)

It cannot run for a channel that the vocabulary does not list: a way to see what happens then; with
`channels` it knows so many only. In a `still` channel nearly all is silence.
"""

import functools
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
from mlflow import MlflowClient

from features.artefact import (
    ARTEFACT_PATH,
    CHAMPION,
    COUNT,
    FLOAT32,
    GOLDEN_TOLERANCES,
    INPUTS,
    MODEL_NAME,
    OUTPUTS,
    Contract,
    no_fresh,
    write_contract,
    write_manifest,
)
from features.content import Content
from features.encoding import FIRST_ITEM_ROW, SCHEMA_VERSION, ItemIndex, encode
from features.record import pack
from features.rollout import WITHDRAWN, Rollout, tags_of
from features.settings import Home
from features.vocabulary import OTHER_CHANNEL_CODE, Vocabulary, load_vocabulary
from tests.interactions import interaction

ITEM_IDS = ("apple", "bread", "cheese", "dates", "eggs", "flour")
MAX_LENGTH = 8
FRESH_BIAS = -0.505  # an item that the model was not trained on stands behind all others
D = 2  # the width of an item's vector, which the graph does not look at

GRAPH = """
<ir_version: 10, opset_import: ["" : 18]>
counts (
    int32[B,L,6] tokens_BLF, int32[B,2] context_BC, float[B,T] weight_BT, bool[E,W] eligible_EV,
    int64[B] mask_B, float[N,{D1}] fresh_ND1, int64 k
) => (float[B,U] intent_BU, int64[B,K] item_BK, float[B,K,T] joint_BKT)
<
    float one = {{1}}, float never = {{-1e9}}, int64 item_field = {{0}}, int64 type_field = {{1}},
    int64[1] axis_0 = {{0}}, int64[1] axis_1 = {{1}}, int64[1] axis_2 = {{2}},
    int64[4] silence_pad = {{0, 0, 0, 1}}, int64[1] T_end = {{{T}}},
    float[{V}] bias_V = {{{bias}}}, int32[{T}] code_T = {{{codes}}},
    int64[1] last = {{-1}}, int64[1] end = {{{D1}}},
    int64 row_0 = {{{first_row}}}, int64 step = {{1}},
    float[{channels},1] listed = {{{still}}}
>
{{
    row_BL = Gather <axis = 2> (tokens_BLF, item_field)
    row_BL1 = Unsqueeze (row_BL, axis_2)
    fresh_bias_N1 = Slice (fresh_ND1, last, end, axis_1)
    fresh_bias_N = Squeeze (fresh_bias_N1, axis_1)
    bias_W = Concat <axis = 0> (bias_V, fresh_bias_N)
    count = Size (bias_W)
    row_end = Add (count, row_0)
    long_row_W = Range (row_0, row_end, step)
    row_W = Cast <to = 6> (long_row_W)
    named_BLV = Equal (row_BL1, row_W)
    named = Cast <to = 1> (named_BLV)
    count_BV = ReduceSum <keepdims = 0> (named, axis_1)
    logit_BV = Add (count_BV, bias_W)
    eligible_BV = Gather (eligible_EV, mask_B)
    open_BV = Where (eligible_BV, logit_BV, never)
    channel_B = Gather <axis = 1> (context_BC, item_field)
    nothing_B1 = Gather (listed, channel_B)
    checked_BV = Add (open_BV, nothing_B1)
    p_item_BV = Softmax <axis = 1> (checked_BV)

    code_BL = Gather <axis = 2> (tokens_BLF, type_field)
    code_BL1 = Unsqueeze (code_BL, axis_2)
    typed_BLT = Equal (code_BL1, code_T)
    typed = Cast <to = 1> (typed_BLT)
    every_BT = ReduceSum <keepdims = 0> (typed, axis_1)
    count_BT = Sub (every_BT, nothing_B1)
    count_BU = Pad (count_BT, silence_pad, one)
    intent_BU = Softmax <axis = 1> (count_BU)
    type_BT = Slice (intent_BU, axis_0, T_end, axis_1)

    type_B1T = Unsqueeze (type_BT, axis_1)
    item_BV1 = Unsqueeze (p_item_BV, axis_2)
    joint_BVT = Mul (item_BV1, type_B1T)
    weight_B1T = Unsqueeze (weight_BT, axis_1)
    weighted_BVT = Mul (joint_BVT, weight_B1T)
    score_BV = ReduceSum <keepdims = 0> (weighted_BVT, axis_2)
    k_1 = Unsqueeze (k, axis_0)
    top_BK, item_BK = TopK <axis = 1> (score_BV, k_1)
    item_BK1 = Unsqueeze (item_BK, axis_2)
    joint_BKT = GatherND <batch_dims = 1> (joint_BVT, item_BK1)
}}
"""


def graph(
    item_count: int,
    vocabulary: Vocabulary,
    *,
    bias: float,
    still: str = "",
    channels: int = OTHER_CHANNEL_CODE,
) -> onnx.ModelProto:
    """The graph that the docstring describes, with the contract's names and types."""
    codes = [vocabulary.types[name].code for name in vocabulary.predicted]
    text = GRAPH.format(
        V=item_count,
        T=len(codes),
        D1=D + 1,
        first_row=FIRST_ITEM_ROW,
        bias=", ".join(str(bias * index) for index in range(item_count)),
        codes=", ".join(map(str, codes)),
        channels=channels,
        still=", ".join(
            "10" if code == vocabulary.channels.get(still) else "0" for code in range(channels)
        ),
    )
    return onnx.parser.parse_model(text)


def write_artefact(
    directory: Path,
    *,
    item_ids: tuple[str, ...] = ITEM_IDS,
    counts: tuple[int, ...] = (),
    bias: float = -0.01,
    still: str = "",
    channels: int = OTHER_CHANNEL_CODE,
) -> Path:
    """A whole artefact; without bias, items that were named equally often are tied.

    `counts` are the interactions that it has learnt from, item by item; it may tell none.
    """
    vocabulary = load_vocabulary()
    directory.mkdir(parents=True)
    written = graph(len(item_ids), vocabulary, bias=bias, still=still, channels=channels)
    onnx.save(written, directory / "model.onnx")
    contract = Contract(
        schema_version=SCHEMA_VERSION,
        vocabulary_digest=vocabulary.digest,
        predicted_types=vocabulary.predicted,
        max_length=MAX_LENGTH,
        horizon_days=7.0,
        item_count=len(item_ids),
        metrics={"ndcg_at_10": 0.25},
        lineage={},
    )
    write_contract(directory, contract)
    told = {COUNT: list(counts)} if counts else {}
    pq.write_table(pa.table({"item_id": list(item_ids), **told}), directory / "items.parquet")
    (directory / "popularity.json").write_text('{"": [2, 1, 0, 3, 4, 5], "kiosk": [5, 4, 3]}')
    content = Content(np.zeros((4, D)), np.array([0.0] * D + [FRESH_BIAS]), np.zeros(0, np.uint32))
    np.savez(directory / "content.npz", **vars(content))
    _write_golden(directory, ItemIndex(item_ids), vocabulary)
    write_manifest(directory)
    return directory


def _write_golden(directory: Path, items: ItemIndex, vocabulary: Vocabulary) -> None:
    records = [pack(interaction(n, item_id=items.item_ids[n % 3]), vocabulary) for n in range(5)]
    histories = [b"".join(records), b"".join(records[:1]), b""]
    tokens, context = encode(
        histories, [1, 2, 3], np.full(3, 10**12), items=items, max_length=MAX_LENGTH
    )
    weight = np.ones((3, len(vocabulary.predicted)), np.float32)
    eligible = np.ones((1, len(items.item_ids) + 1), bool)
    inputs = (
        tokens,
        context,
        weight,
        eligible,
        np.zeros(3, np.int64),
        no_fresh(D + 1),
        np.array(3),
    )
    feeds = dict(zip(INPUTS, inputs, strict=True))
    session = onnxruntime.InferenceSession(directory / "model.onnx")
    outputs = dict(zip(OUTPUTS, session.run(OUTPUTS, feeds), strict=True))
    outputs["tolerance"] = np.array(GOLDEN_TOLERANCES[FLOAT32])
    np.savez(directory / "golden.npz", **feeds, **outputs)  # type: ignore[arg-type]


def publish(home: Home, directory: Path) -> str:
    """Registers an artefact as the champion; gives its version."""
    client = _registry(home)
    experiment = client.get_experiment_by_name("test")
    if experiment is None:
        location = home.artefacts.resolve().as_uri()
        experiment_id = client.create_experiment("test", artifact_location=location)
        client.create_registered_model(MODEL_NAME)
    else:
        experiment_id = experiment.experiment_id
    run = client.create_run(experiment_id)
    client.log_artifacts(run.info.run_id, str(directory), ARTEFACT_PATH)
    source = f"{run.info.artifact_uri}/{ARTEFACT_PATH}"
    version = client.create_model_version(MODEL_NAME, source=source, run_id=run.info.run_id)
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, version.version)
    return str(version.version)


def crown(home: Home, version: str) -> None:
    """Moves the alias to a version that is registered."""
    _registry(home).set_registered_model_alias(MODEL_NAME, CHAMPION, version)


def stand(home: Home, alias: str, version: str, share: float = 1.0) -> Rollout:
    """Lets a version that is registered stand beside the champion, from now on."""
    client, now = _registry(home), datetime.now(UTC).isoformat()
    rollout = Rollout(alias, version, share, now)
    for key, value in tags_of(rollout).items():
        client.set_model_version_tag(MODEL_NAME, version, key, value)
    client.delete_model_version_tag(MODEL_NAME, version, WITHDRAWN)
    point(home, alias, version)
    return rollout


def point(home: Home, alias: str, version: str) -> None:
    """Lets an alias point to a version, and says no more about it."""
    _registry(home).set_registered_model_alias(MODEL_NAME, alias, version)


def unalias(home: Home, alias: str) -> None:
    """Takes an alias away."""
    _registry(home).delete_registered_model_alias(MODEL_NAME, alias)


def aliases(home: Home) -> dict[str, str]:
    """Which version each alias points to."""
    found = _registry(home).get_registered_model(MODEL_NAME).aliases
    return {name: str(version) for name, version in found.items()}


def noted(home: Home, version: str) -> dict[str, str]:
    """The tags of a version."""
    return dict(_registry(home).get_model_version(MODEL_NAME, version).tags)


def _registry(home: Home) -> MlflowClient:
    if not home.tracking.exists():
        home.path.mkdir(parents=True, exist_ok=True)
        home.tracking.write_bytes(_empty_registry())
    return MlflowClient(tracking_uri=home.tracking_uri, registry_uri=home.tracking_uri)


@functools.cache
def _empty_registry() -> bytes:
    """A registry without models: MLflow takes seconds to make one, so it is made once."""
    with tempfile.TemporaryDirectory() as folder:
        uri = f"sqlite:///{folder}/mlflow.db"
        MlflowClient(tracking_uri=uri, registry_uri=uri)
        return Path(folder, "mlflow.db").read_bytes()
