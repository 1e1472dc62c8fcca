"""Models in serving: verified before they answer, swapped without a restart, refused if broken."""

import json
from collections.abc import Callable
from pathlib import Path

import grpc
import numpy as np
import pytest
from interplay.v1.model_service_pb2 import GetModelRequest, ListModelsRequest
from interplay.v1.personalization_service_pb2 import DecideInteractionRequest

from features.artefact import INPUTS, OUTPUTS, ArtefactError, write_manifest
from features.encoding import ItemIndex
from features.item import Item
from features.settings import Home
from features.vocabulary import load_vocabulary
from serving.items.catalog import Catalog
from serving.model.scorer import Scorer
from tests.artefacts import ITEM_IDS, publish, write_artefact
from tests.running import Running, add_items

ASK = DecideInteractionRequest(customer_id="ada", channel="web", k=2)


def load(directory: Path) -> Scorer:
    return Scorer(directory, load_vocabulary(), threads=1)


def test_a_whole_artefact_loads_and_scores(tmp_path: Path) -> None:
    scorer = load(write_artefact(tmp_path / "artefact"))
    scorer.warm_up(max_batch=4)
    eligible_EV = np.array([[True, False, True, True, True, True]])
    scores = scorer.score(
        [b"", b""], [1, 2], np.zeros(2), eligible_EV=eligible_EV, mask_B=np.zeros(2, np.int64), k=3
    )
    assert scores.item_BK.tolist() == [[0, 2, 3], [0, 2, 3]]
    assert scorer.provider == "CPUExecutionProvider"


def change_golden(directory: Path, **changes: Callable[[np.ndarray], np.ndarray]) -> None:
    with np.load(directory / "golden.npz") as golden:
        values = dict(golden)
    values |= {name: change(values[name]) for name, change in changes.items()}
    np.savez(directory / "golden.npz", **values)
    write_manifest(directory)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"intent_BU": lambda each: each + 2e-4}, "intent_BU is off by 0.0002"),
        ({"joint_BKT": lambda each: each * np.nan}, "joint_BKT is off by nan"),
        ({"item_BK": lambda each: each[:, ::-1]}, "ranked items differ"),
        ({"joint_BKT": lambda each: each[:, :1]}, "golden is"),
        ({"k": lambda each: np.array(99)}, "the model cannot run on it"),
    ],
)
def test_a_model_that_answers_otherwise_is_refused(
    tmp_path: Path, changes: dict[str, Callable[[np.ndarray], np.ndarray]], complaint: str
) -> None:
    directory = write_artefact(tmp_path / "artefact")
    change_golden(directory, **changes)
    with pytest.raises(ArtefactError, match=complaint):
        load(directory)


def test_a_differing_tie_is_no_difference(tmp_path: Path) -> None:
    directory = write_artefact(tmp_path / "artefact", bias=0.0)
    change_golden(directory, item_BK=lambda each: each[:, [0, 2, 1]])
    load(directory)


@pytest.mark.parametrize("name", ["model.onnx", "items.parquet", "golden.npz", "popularity.json"])
def test_a_changed_file_is_refused(tmp_path: Path, name: str) -> None:
    path = write_artefact(tmp_path / "artefact") / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtefactError, match=f"{name} does not match"):
        load(path.parent)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"no graph", r"model\.onnx cannot be used: .*: this is no ONNX file"),
        (b"\x08\x0a", r"model\.onnx cannot be loaded"),  # of ONNX IR 10, with nothing in it
    ],
)
def test_a_file_that_is_no_graph_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    directory = write_artefact(tmp_path / "artefact")
    (directory / "model.onnx").write_bytes(content)
    with pytest.raises(ArtefactError, match=told):
        write_manifest(directory)
        load(directory)


def test_items_must_be_as_many_as_the_contract_says(tmp_path: Path) -> None:
    directory = write_artefact(tmp_path / "artefact")
    contract = json.loads((directory / "contract.json").read_text())
    (directory / "contract.json").write_text(json.dumps(contract | {"item_count": 7}))
    write_manifest(directory)
    with pytest.raises(ArtefactError, match="holds 6 items"):
        load(directory)


def test_catalog_is_aligned_to_the_model() -> None:
    items = [Item(item_id="b", name="B"), Item(item_id="c", unavailable=True), Item(item_id="x")]
    catalog = Catalog(items, ItemIndex(("a", "b", "c")))
    assert catalog.axis.available_V.tolist() == [False, True, False]
    catalog.put([Item(item_id="c", name="C"), Item(item_id="a")])
    catalog.remove(["b", "unheard-of"])
    assert catalog.axis.available_V.tolist() == [True, False, True]
    assert (catalog.name("c"), catalog.name("b"), catalog.holds("b")) == ("C", "", False)


def test_a_new_champion_serves_without_restart_and_a_broken_one_never(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    add_items(home.path)
    with Running(home.path) as running:
        with pytest.raises(grpc.RpcError) as refused:
            running.personalization.DecideInteraction(ASK)
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert f"python -m training train --home {home.path}" in refused.value.details()
        assert list(running.models.ListModels(ListModelsRequest()).models) == []
        with pytest.raises(grpc.RpcError) as absent:
            running.models.GetModel(GetModelRequest())
        assert absent.value.code() is grpc.StatusCode.NOT_FOUND

        publish(home, write_artefact(tmp_path / "first"))
        running.refresh()
        first = running.personalization.DecideInteraction(ASK)
        assert first.model_version == "1"
        assert [each.item_id for each in first.candidates] == ["apple", "bread"]

        add_items(home.path, "grapes")  # as an import does, beside the running server
        publish(home, write_artefact(tmp_path / "second", item_ids=("grapes", *ITEM_IDS)))
        running.refresh()
        second = running.personalization.DecideInteraction(ASK)
        assert second.model_version == "2"
        assert [each.name for each in second.candidates] == ["Grapes", "Apple"]

        broken = write_artefact(tmp_path / "third")
        (broken / "model.onnx").write_bytes(b"no graph")
        publish(home, broken)
        running.refresh()
        assert running.personalization.DecideInteraction(ASK).model_version == "2"

        listed = running.models.ListModels(ListModelsRequest(page_size=2))
        assert [(each.version, each.serving, each.champion) for each in listed.models] == [
            ("3", False, True),
            ("2", True, False),
        ]
        rest = ListModelsRequest(page_size=2, page_token=listed.next_page_token)
        (last,) = running.models.ListModels(rest).models
        assert (last.version, last.item_count, dict(last.metrics)) == ("1", 6, {"ndcg_at_10": 0.25})
        model = running.models.GetModel(GetModelRequest()).model
        assert (model.version, model.item_count, model.provider) == ("2", 7, "CPUExecutionProvider")
        assert model.create_time.seconds > 1_700_000_000
        for version in ("99", "first", "²"):
            with pytest.raises(grpc.RpcError) as unknown:
                running.models.GetModel(GetModelRequest(version=version))
            assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
            assert version in unknown.value.details()


def test_golden_outputs_that_do_not_say_how_near_are_met_as_float32(tmp_path: Path) -> None:
    directory = write_artefact(tmp_path / "artefact")
    with np.load(directory / "golden.npz") as golden:
        values = {name: golden[name] for name in (*INPUTS, *OUTPUTS)}
    np.savez(directory / "golden.npz", **values)  # type: ignore[arg-type]
    write_manifest(directory)
    assert Scorer(directory, load_vocabulary(), threads=1).provider == "CPUExecutionProvider"
    change_golden(directory, intent_BU=lambda intent_BU: intent_BU + 2e-4)
    with pytest.raises(ArtefactError, match=r"the tolerance is 0\.0001"):
        Scorer(directory, load_vocabulary(), threads=1)
