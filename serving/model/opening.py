"""Opening a model: the best of the ways to run it here in which it gives the golden outputs."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from features.artefact import GRAPH, INPUTS, OUTPUTS, ArtefactError, load_tables
from serving.model.bound_session import BoundSession, with_constant_k
from serving.model.device import CPU, CUDA, Session, open_on_cpu, open_on_cuda, provider_of
from serving.model.golden import Run, verify_golden

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Opened:
    """A model that runs."""

    run: Run
    provider: str
    shapes: Callable[[int], list[tuple[int, int, int]]]
    """Customers, tokens and k of the runs that warm it up for batches of up to so many."""


class Spared:
    """A model that runs on the CPU from the first run on that only CUDA cannot do."""

    def __init__(self, opened: Opened, spare: Opened) -> None:
        """Both are right; the spare waits in memory, as opening it takes seconds."""
        self._opened, self._spare = opened, spare
        self.shapes = opened.shapes

    @property
    def provider(self) -> str:
        """What runs the model now."""
        return self._opened.provider

    def run(self, feeds: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
        """Raises what is wrong with the feeds, as then neither can run."""
        if self._opened is self._spare:
            return self._spare.run(feeds)
        try:
            return self._opened.run(feeds)
        except Exception as error:  # onnxruntime's own exceptions share no narrower class
            outputs = self._spare.run(feeds)
            logger.error("the CPU runs the model from now on, as %s fails: %s", CUDA, error)
            self._opened = self._spare
            return outputs


@dataclass(frozen=True, slots=True)
class Way:
    """One of the ways to run a model, in words, and how it is opened so."""

    name: str
    open: Callable[[], Opened]


def open_model(directory: Path, *, device: str, threads: int, max_length: int) -> "Opened | Spared":
    """On `auto` the CPU runs what CUDA cannot; raises ArtefactError where nothing is left."""
    path, wanted = directory / GRAPH, provider_of(device)
    ways = []
    if wanted == CUDA:
        captured, plain = (partial(_on_cuda, path, max_length, capture=c) for c in (True, False))
        ways = [Way("CUDA with captured graphs", captured), Way("CUDA", plain)]
    if device == "auto" or wanted == CPU:
        ways.append(Way("the CPU", partial(_on_cpu, path, max_length, threads=threads)))
    golden = directory / "golden.npz"
    opened = first_right(ways, golden)
    if device != "auto" or opened.provider == CPU:
        return opened
    return Spared(opened, _right(ways[-1], golden))


def first_right(ways: Iterable[Way], golden: Path) -> Opened:
    """The first of the ways in which the model opens, runs and is right."""
    *better, last = ways
    for way in better:
        try:
            return _right(way, golden)
        except ArtefactError as error:
            logger.warning("%s is not used: %s", way.name, error)
    return _right(last, golden)


def _right(way: Way, golden: Path) -> Opened:
    try:
        opened = way.open()
    except ArtefactError:
        raise
    except Exception as error:  # onnxruntime's own exceptions share no narrower class
        path = golden.with_name(GRAPH)
        raise ArtefactError(f"{path} cannot be loaded: {error}") from error
    verify_golden(opened.run, golden)
    return opened


def _on_cpu(path: Path, max_length: int, *, threads: int) -> Opened:
    session = open_on_cpu(path, threads=threads, tables=load_tables(path))
    _named(session, path, INPUTS)

    def corners(max_batch: int) -> list[tuple[int, int, int]]:
        return [(1, max_length, 10)]  # after any first run all others are as fast

    return Opened(lambda feeds: session.run(OUTPUTS, feeds), CPU, corners)


def _on_cuda(path: Path, max_length: int, *, capture: bool) -> Opened:
    inputs, tables = [name for name in INPUTS if name != "k"], load_tables(path)

    def open_session(k: int) -> Session:
        graph = with_constant_k(path, k)
        return _named(open_on_cuda(graph, tables, capture=capture), path, inputs)

    bound = BoundSession(open_session, max_length=max_length)
    return Opened(bound.run, CUDA, lambda max_batch: bound.shapes(max_batch=max_batch))


def _named(session: Session, path: Path, inputs: Sequence[str]) -> Session:
    """Raises ArtefactError for a graph of other inputs or outputs."""
    for kind, given, right in (
        ("inputs", session.get_inputs(), inputs),
        ("outputs", session.get_outputs(), OUTPUTS),
    ):
        names = tuple(each.name for each in given)
        if set(names) != set(right):
            raise ArtefactError(f"{path} has {kind} {names}; they must be {tuple(right)}")
    return session
