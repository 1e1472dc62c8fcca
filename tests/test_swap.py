"""Swaps of models: no call fails, the old model is freed, the alias moved back is taken up."""

import gc
import shutil
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

from features.settings import Home
from tests.artefacts import ITEM_IDS, crown, publish, write_artefact
from tests.running import Running, add_items, asked, offered


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
        model = running.server.decider.model
        assert model is not None
        old = weakref.ref(model.scorer)
        del model
        publish(home, write_artefact(tmp_path / "second"))
        running.refresh()
        running.personalization.DecideInteraction(asked())
        gc.collect()  # what was frozen at the start is left out
        assert old() is None


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
