"""Devices: the one that is asked for or none; bound runs give what plain runs give."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.artefact import INPUTS, OUTPUTS, ArtefactError
from features.vocabulary import load_vocabulary
from serving.model.bound_session import BoundSession, with_constant_k
from serving.model.device import CPU, CUDA, open_on_cpu, provider_of
from serving.model.opening import Opened, Spared, Way, first_right
from serving.model.scorer import Scorer
from serving.processes.port import StartError
from serving.settings import ServingSettings
from tests.artefacts import write_artefact
from tests.sequences import plan
from tests.test_model import trembling
from training.export.export import random_feeds, write_graph
from training.export.ranker import Ranker
from training.learning.plan import new_model

Feeds = dict[str, np.ndarray]
LONGEST = 20


@pytest.fixture(scope="module")
def ranker() -> Ranker:
    return Ranker(trembling(new_model(plan(max_length=LONGEST))))


@pytest.fixture(scope="module")
def graph(ranker: Ranker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    write_graph(ranker, path)
    return path


@pytest.fixture(scope="module")
def plain(graph: Path) -> Callable[[Feeds], list[np.ndarray]]:
    session = open_on_cpu(graph, threads=1)
    return lambda feeds: session.run(OUTPUTS, feeds)


def bind(graph: Path) -> BoundSession:
    """What runs on CUDA elsewhere, with its buffers in the memory of the CPU."""

    def open_session(k: int) -> object:
        path = graph.with_name(f"{k}.onnx")
        path.write_bytes(with_constant_k(graph, k))
        return open_on_cpu(path, threads=1)

    return BoundSession(open_session, max_length=LONGEST, device="cpu")


@pytest.fixture(scope="module")
def bound(graph: Path) -> BoundSession:
    return bind(graph)


def agree(given: tuple[np.ndarray, ...], expected: list[np.ndarray], feeds: Feeds) -> None:
    """The same items where they are eligible, and the same probabilities."""
    assert [each.shape for each in given] == [each.shape for each in expected]
    eligible_BK = feeds["eligible_EV"][feeds["mask_B"][:, None], expected[1]]
    np.testing.assert_array_equal(given[1][eligible_BK], expected[1][eligible_BK])
    np.testing.assert_allclose(given[0], expected[0], rtol=0, atol=1e-6)
    # In float32 either is off the definition by up to 2e-6: padding changes the order of sums.
    np.testing.assert_allclose(given[2], expected[2], rtol=0, atol=5e-6)


@settings(deadline=None, max_examples=60)
@given(B=st.integers(1, 9), L=st.integers(0, LONGEST), k=st.integers(1, 9), seed=st.integers(0, 99))
def test_bound_runs_one_after_the_other_give_what_plain_runs_give(
    bound: BoundSession,
    plain: Callable[[Feeds], list[np.ndarray]],
    ranker: Ranker,
    B: int,
    L: int,
    k: int,
    seed: int,
) -> None:
    feeds = random_feeds(ranker, B, L, k, np.random.default_rng(seed))
    agree(bound.run(feeds), plain(feeds), feeds)


def test_masks_and_fresh_items_that_change_in_place_are_sent_again(
    graph: Path, plain: Callable[[Feeds], list[np.ndarray]], ranker: Ranker
) -> None:
    bound, rng = bind(graph), np.random.default_rng(0)
    feeds = random_feeds(ranker, 3, 4, 9, rng)
    items = []
    for column in (0, 6, 7):
        feeds["eligible_EV"][:] = True
        feeds["eligible_EV"][:, column] = False
        feeds["fresh_ND1"][:] = rng.normal(0, 0.3, feeds["fresh_ND1"].shape)
        given = bound.run(feeds)
        agree(given, plain(feeds), feeds)
        items.append(given[1][:, -1].tolist())
    assert items == [[0] * 3, [6] * 3, [7] * 3]


def test_more_masks_and_then_fewer(
    graph: Path, plain: Callable[[Feeds], list[np.ndarray]], ranker: Ranker
) -> None:
    bound, feeds = bind(graph), random_feeds(ranker, 4, 3, 5, np.random.default_rng(0))
    for masks in (1, 3, 4, 2, 1):
        feeds["eligible_EV"] = np.random.default_rng(masks).random((masks, 9)) < 0.7
        feeds["mask_B"] = np.arange(4) % masks
        agree(bound.run(feeds), plain(feeds), feeds)


def test_fresh_items_that_grow(
    graph: Path, plain: Callable[[Feeds], list[np.ndarray]], ranker: Ranker
) -> None:
    bound, rng = bind(graph), np.random.default_rng(0)
    feeds = random_feeds(ranker, 2, 3, 5, rng)
    for fresh, k in ((1, 7), (64, 50), (200, 140), (2, 5)):
        feeds["fresh_ND1"] = rng.normal(0, 0.3, (fresh, 17)).astype(np.float32)
        feeds["eligible_EV"] = rng.random((2, 6 + fresh)) < 0.9
        feeds["tokens_BLF"][..., 0] %= 3  # no fresh items among them
        feeds["k"] = np.array(k, np.int64)
        agree(bound.run(feeds), plain(feeds), feeds)


def test_answers_outlive_the_next_run(bound: BoundSession, ranker: Ranker) -> None:
    feeds = random_feeds(ranker, 2, 3, 5, np.random.default_rng(0))
    before = bound.run(feeds)
    kept = [each.copy() for each in before]
    bound.run(random_feeds(ranker, 2, 3, 5, np.random.default_rng(1)))
    assert all((one == other).all() for one, other in zip(before, kept, strict=True))


def test_warming_up_meets_each_shape_once(bound: BoundSession) -> None:
    assert bound.shapes(max_batch=3) == [
        *((1, 8, 48), (1, 8, 144), (1, 16, 48), (1, 16, 144), (1, 20, 48), (1, 20, 144)),
        *((2, 8, 48), (2, 8, 144), (2, 16, 48), (2, 16, 144), (2, 20, 48), (2, 20, 144)),
        *((4, 8, 48), (4, 8, 144), (4, 16, 48), (4, 16, 144), (4, 20, 48), (4, 20, 144)),
    ]


def test_a_constant_k_is_no_input_any_more(graph: Path, bound: BoundSession) -> None:
    path = graph.with_name("48.onnx")
    names = {each.name for each in open_on_cpu(path, threads=1).get_inputs()}
    assert names == set(INPUTS) - {"k"}


def test_a_way_that_fails_is_left_for_the_next(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = write_artefact(tmp_path / "artefact")
    session = open_on_cpu(directory / "model.onnx", threads=1)

    def absent() -> Opened:
        raise RuntimeError("no CUDA-capable device is detected")

    def wrong() -> Opened:
        return Opened(lambda feeds: [2 * each for each in session.run(OUTPUTS, feeds)], "odd", list)

    def right() -> Opened:
        return Opened(lambda feeds: session.run(OUTPUTS, feeds), CPU, list)

    ways = [Way("CUDA", absent), Way("another", wrong), Way("the CPU", right)]
    golden = directory / "golden.npz"
    assert first_right(ways, golden).provider == CPU
    assert "CUDA is not used" in caplog.text and "no CUDA-capable device" in caplog.text
    assert "another is not used" in caplog.text and "intent_BU is off by" in caplog.text
    with pytest.raises(ArtefactError, match="no CUDA-capable device"):
        first_right(ways[:1], golden)


def test_a_device_that_fails_later_on_is_left_to_the_cpu(caplog: pytest.LogCaptureFixture) -> None:
    on_gpu, on_cpu = (np.zeros(1),), (np.ones(1),)

    def run_on_gpu(feeds: Feeds) -> tuple[np.ndarray, ...]:
        if "k" in feeds:
            raise RuntimeError("CUDA failure 700: an illegal memory access was encountered")
        return on_gpu

    def run_on_cpu(feeds: Feeds) -> tuple[np.ndarray, ...]:
        if "wrong" in feeds:
            raise ValueError("no such channel")
        return on_cpu

    spared = Spared(Opened(run_on_gpu, CUDA, list), Opened(run_on_cpu, CPU, list))
    assert (spared.run({}), spared.provider) == (on_gpu, CUDA)
    with pytest.raises(ValueError, match="no such channel"):  # neither can: it is not the device
        spared.run({"k": on_cpu[0], "wrong": on_cpu[0]})
    assert (spared.run({}), spared.provider) == (on_gpu, CUDA)
    assert (spared.run({"k": on_cpu[0]}), spared.provider) == (on_cpu, CPU)
    assert spared.run({}) == on_cpu
    assert "the CPU runs the model from now on" in caplog.text and "CUDA failure 700" in caplog.text


without_cuda = pytest.mark.skipif(provider_of("auto") != CPU, reason="CUDA works here")


@without_cuda
def test_auto_takes_what_there_is(tmp_path: Path) -> None:
    directory = write_artefact(tmp_path / "artefact")
    for device in ("auto", "cpu"):
        scorer = Scorer(directory, load_vocabulary(), threads=1, device=device)
        assert scorer.provider == "CPUExecutionProvider"


@without_cuda
def test_cuda_that_is_not_there_is_refused_before_anything_listens(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"cannot be had: .*CPUExecutionProvider"):
        provider_of("cuda")
    command = ["serving", "--home", str(tmp_path), "--port", "0", "--device", "cuda"]
    ended = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "Error: --device cuda cannot be had" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_device_is_one_of_three() -> None:
    with pytest.raises(ValueError, match="device is tpu: must be one of auto, cpu, cuda"):
        ServingSettings(device="tpu")
