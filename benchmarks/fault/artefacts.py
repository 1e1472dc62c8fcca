"""Faults of a model's files: flipped bits, files cut short, wrong shapes, NaN for weights."""

import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from benchmarks.composed import started
from benchmarks.fault.scene import HOME, Scene
from benchmarks.fault.traffic import Traffic, failed
from benchmarks.fault.trial import Fault, Seen, all_of, none_of
from features.artefact import (
    FILES,
    GRAPH,
    ArtefactError,
    load_content,
    load_popularity,
    write_manifest,
)
from features.manifest import MANIFEST
from features.settings import Home
from features.vocabulary import load_vocabulary
from serving.model.scorer import Scorer
from training.publishing import Publisher

SHARES = {"bit flips": 600, "truncations": 250, "wrong shapes": 75, "NaN weights": 75}
LOOK_S = 0.2  # how often the server looks for a champion
LOOKS_S = 4.0  # how long it has for refusing one
ARRAYS = ("content.npz", "golden.npz")

Spoil = Callable[[Path, random.Random], None]


def faults() -> list[Fault]:
    """Of a model's files."""
    return [
        Fault(
            "artefact-broken",
            "1,000 artefacts: 600 flipped bits, 250 truncations, and with a right manifest "
            "75 wrong shapes and 75 NaN weights",
            "all refused",
            _verified,
        ),
        Fault(
            "artefact-published",
            "one of each kind is published and made champion of a server under load",
            "all refused, the old model serves, 0 failed calls, the next sound one is taken up",
            _published,
        ),
    ]


def _verified(scene: Scene) -> Seen:
    dice, counted, vocabulary = random.Random(7), Counter[str](), load_vocabulary()
    with tempfile.TemporaryDirectory(prefix="interplay-") as place:
        directory = copy_of_champion(Path(place) / "artefact")
        whole = {each.name: each.read_bytes() for each in directory.iterdir()}
        for kind, share in SHARES.items():
            for _ in range(scene.times(share)):
                spoil(kind, directory, dice)
                counted[f"{kind} refused"] += refused(directory, partial(_load, vocabulary))
                for name, content in whole.items():
                    (directory / name).write_bytes(content)
        sound = not refused(directory, partial(_load, vocabulary))
    tried = {f"{kind} refused": scene.times(share) for kind, share in SHARES.items()}
    figures = [all_of(name, counted[name], count) for name, count in tried.items()]
    return Seen([*figures, all_of("the sound one accepted", int(sound), 1)])


def _load(vocabulary: object, directory: Path) -> None:
    Scorer(directory, vocabulary, threads=1)  # type: ignore[arg-type]
    load_popularity(directory)
    load_content(directory)


def refused(directory: Path, load: Callable[[Path], None]) -> bool:
    """Whether it must not serve; anything but an ArtefactError breaks the attempt."""
    try:
        load(directory)
    except ArtefactError:
        return True
    return False


def copy_of_champion(directory: Path) -> Path:
    """The model of the scene, to be spoilt."""
    champion = Publisher(HOME).champion()
    assert champion is not None  # see prepare()
    return Path(shutil.copytree(champion.directory, directory))


def spoil(kind: str, directory: Path, dice: random.Random) -> None:
    """Breaks an artefact in a way of its kind."""
    {"bit flips": _flip, "truncations": _cut, "wrong shapes": _reshape, "NaN weights": _spoil_one}[
        kind
    ](directory, dice)


def _flip(directory: Path, dice: random.Random) -> None:
    path = directory / dice.choice((*FILES, MANIFEST))
    content = bytearray(path.read_bytes())
    content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    path.write_bytes(content)


def _cut(directory: Path, dice: random.Random) -> None:
    path = directory / dice.choice((*FILES, MANIFEST))
    content = path.read_bytes()
    path.write_bytes(content[: dice.randrange(len(content))])


def _reshape(directory: Path, dice: random.Random) -> None:
    """Of a constant of the graph, or of an array beside it; then sealed."""
    name = dice.choice((GRAPH, *ARRAYS))
    if name == GRAPH:
        model = onnx.load(directory / GRAPH)
        oblong = [e for e in model.graph.initializer if len(e.dims) == 2 and e.dims[0] != e.dims[1]]
        chosen = dice.choice(oblong)
        chosen.dims.reverse()
        onnx.save(model, directory / GRAPH)
    else:
        _change(directory / name, dice, lambda array: array[..., :-1])
    write_manifest(directory)


def _spoil_one(directory: Path, dice: random.Random) -> None:
    """One weight, of the graph or of the content; then sealed."""
    if dice.random() < 0.8:
        model = onnx.load(directory / GRAPH)
        kinds = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
        chosen = dice.choice([e for e in model.graph.initializer if e.data_type in kinds])
        weights = numpy_helper.to_array(chosen).copy()
        weights.flat[dice.randrange(weights.size)] = np.nan
        chosen.CopyFrom(numpy_helper.from_array(weights, chosen.name))
        onnx.save(model, directory / GRAPH)
    else:
        _change(directory / "content.npz", dice, lambda array: array * np.nan)
    write_manifest(directory)


def _change(path: Path, dice: random.Random, change: Callable[[np.ndarray], np.ndarray]) -> None:
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    fit = [name for name, each in arrays.items() if each.ndim and each.dtype.kind == "f"]
    name = dice.choice(sorted(fit))
    np.savez(path, **arrays | {name: change(arrays[name])})


def _published(scene: Scene) -> Seen:
    with (
        scene.home() as home,
        started(home, "--refresh-s", str(LOOK_S)) as server,
        Traffic(server.address, customers=scene.customers) as traffic,
    ):
        publisher, dice = Publisher(Home(home)), random.Random(7)
        champion = publisher.champion()
        assert champion is not None  # see prepare()
        for number, kind in enumerate(SHARES):
            directory = copy_of_champion(home.parent / str(number))
            spoil(kind, directory, dice)
            crown(publisher, directory, champion.version)
            time.sleep(LOOKS_S)
        refused_time = time.monotonic()
        sound = crown(publisher, copy_of_champion(home.parent / "sound"), champion.version)
        took_s = traffic.until(lambda answer: answer.version == sound) - time.monotonic()
    answers = traffic.between(0, refused_time)
    others = sum(each.version not in ("", champion.version) for each in answers)
    return Seen(
        [
            *failed(traffic.answers),
            none_of("answers of another model", others),
            none_of("sound ones not taken up within 30 s", int(took_s == float("inf"))),
        ],
        f"{len(SHARES)} published",
    )


def crown(publisher: Publisher, directory: Path, like: str) -> str:
    """Publishes it, and moves the alias; gives its version."""
    run_id = publisher.begin(f"fault-{directory.name}", {})
    version = publisher.publish(run_id, directory, publisher.kept(like), {})
    publisher.end(run_id)
    publisher.crown(version)
    return version
