"""Swaps of models: no call fails, the old model is freed, the alias moved back is taken up."""

import asyncio
import fcntl
import gc
import json
import shutil
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from interplay.v1.catalog_service_pb2 import DeleteItemsRequest, UpsertItemsRequest
from interplay.v1.catalog_service_pb2 import Item as Message

from features.artefact import FILES
from features.content import Content
from features.encoding import ItemIndex
from features.item import Item
from features.settings import Home
from features.vocabulary import load_vocabulary
from serving.model.champion import Champion
from serving.model.registry import Model, Registry
from serving.processes.leisure import Breathe
from serving.settings import ServingSettings
from tests.artefacts import ITEM_IDS, crown, publish, write_artefact
from tests.running import Running, add_items, asked, decide, offered, record, viewed


def test_no_call_fails_while_models_come_and_go(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    add_items(home.path)
    publish(home, write_artefact(tmp_path / "first"))
    publish(home, write_artefact(tmp_path / "second", item_ids=ITEM_IDS[::-1]))
    ended = Event()
    with Running(home.path) as running, ThreadPoolExecutor(4) as callers:

        def call(_: int) -> set[tuple[str, str]]:
            answers = set()
            while not ended.is_set():
                reply = running.personalization.DecideInteraction(asked(k=1))
                answers.add((reply.model_version, *offered(reply)))
            return answers

        calling = callers.map(call, range(4))
        try:
            for version in ("1", "2", "1"):
                crown(home, version)
                running.refresh()
                reply = running.personalization.DecideInteraction(asked())
                assert reply.model_version == version
        finally:
            ended.set()
        # Each answer is of one model, item and all.
        assert set.union(*calling) == {("1", "apple"), ("2", "flour")}


def test_the_old_model_is_freed(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    add_items(home.path)
    publish(home, write_artefact(tmp_path / "first"))
    with Running(home.path) as running:
        running.personalization.DecideInteraction(asked())
        running.run(running.server.decider.recorder.flush())
        model = running.server.decider.model
        assert model is not None
        old = weakref.ref(model.scorer)
        del model
        publish(home, write_artefact(tmp_path / "second"))
        running.refresh()
        running.personalization.DecideInteraction(asked())
        gc.collect()  # what was frozen at the start is left out
        assert old() is None


class Slow(Content):
    """Does not come to an end before it is told to."""

    begun, go_on = Event(), Event()

    def vectors(self, items: Sequence[Item]) -> np.ndarray:
        self.begun.set()
        self.go_on.wait()
        return super().vectors(items)


def test_writes_do_not_wait_for_the_catalog_of_a_new_model(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    add_items(home.path)
    publish(home, write_artefact(tmp_path / "first"))
    with Running(home.path) as running, ThreadPoolExecutor(1) as thread:
        model = running.server.decider.model
        assert model is not None
        content, memory = model.content, running.server.memory
        slow = Slow(content.table_GD, content.cold_D1, content.known_H)
        aligning = thread.submit(running.run, memory.aligned(ItemIndex(("bread",)), slow))
        slow.begun.wait()
        assert record(running, viewed("ada", "apple")) == (1, 0)
        running.catalog.UpsertItems(UpsertItemsRequest(items=[Message(item_id="grapes")]))
        running.catalog.DeleteItems(DeleteItemsRequest(item_ids=["flour"]))
        assert offered(decide(running, "ada"))[0] == "apple"
        slow.go_on.set()
        catalog = aligning.result()
        open_places = np.flatnonzero(catalog.axis.available_V).tolist()
        found = catalog.axis.item_ids(open_places)
    assert found == ["bread", "apple", "cheese", "dates", "eggs", "grapes"]


def test_who_serves_takes_turns_in_loading(tmp_path: Path) -> None:
    turns, model = tmp_path / "turns.lock", Model("1", None, {}, None)  # type: ignore[arg-type]
    free: list[bool] = []

    def load(version: str, breathe: Breathe) -> Model:
        with turns.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                free.append(True)
            except BlockingIOError:
                free.append(False)
        return model

    champion = Champion(lambda: "2", load, turns=turns)
    assert asyncio.run(champion.after(None)) is model  # nobody is served yet
    assert asyncio.run(champion.after(model)) is model
    assert free == [True, False]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("items.parquet", b"PAR1 no table"),
        ("popularity.json", b'{"web": [0]}'),
        ("content.npz", b"PK no archive"),
        ("golden.npz", b"PK no archive"),
        ("model.onnx", b"no graph"),
        ("model.onnx", b"\x08\x0a"),
        ("contract.json", b"{}"),
    ],
)
def test_a_sealed_version_that_makes_no_sense_is_refused_and_the_next_is_not(
    tmp_path: Path, name: str, content: bytes
) -> None:
    home, artefact = Home(tmp_path / "home"), tmp_path / "first"
    publish(home, write_artefact(artefact))
    (artefact / name).write_bytes(content)
    seal_any(artefact)
    champion, serving = champion_of(home), Model("1", None, {}, None)  # type: ignore[arg-type]
    publish(home, artefact)
    assert asyncio.run(champion.after(serving)) is None
    publish(home, write_artefact(tmp_path / "third"))
    model = asyncio.run(champion.after(serving))
    assert model is not None and model.version == "3"


def champion_of(home: Home) -> Champion:
    registry = Registry(ServingSettings(home=home.path), load_vocabulary())
    return Champion(registry.champion, registry.load, turns=home.turns)


def seal_any(artefact: Path) -> None:
    """As whoever forges a manifest would."""
    digests = {each: sha256((artefact / each).read_bytes()).hexdigest() for each in FILES}
    text = json.dumps(digests, indent=2, sort_keys=True)
    (artefact / "manifest.json").write_text(f"{text}\n")


def test_a_version_that_was_refused_stays_refused(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    add_items(home.path)
    good = write_artefact(tmp_path / "good")
    publish(home, good)
    with Running(home.path) as running:
        broken = shutil.copytree(good, tmp_path / "broken")
        (broken / "model.onnx").write_bytes(b"no graph")
        publish(home, broken)
        running.refresh()
        for directory in home.artefacts.glob("*/artifacts/artefact"):
            shutil.copytree(good, directory, dirs_exist_ok=True)
        running.refresh()
        assert running.personalization.DecideInteraction(asked()).model_version == "1"
        publish(home, good)
        running.refresh()
        assert running.personalization.DecideInteraction(asked()).model_version == "3"
