"""Ray: the cluster that RAY_ADDRESS names, else a quiet one on this machine that ends with us."""

import logging
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
import ray.data
import ray.train
from ray.train.torch import TorchTrainer

from training.learning.loop import work
from training.learning.plan import Plan
from training.learning.progress import Address

LOCAL = "127.0.0.1"
OBJECT_STORE_BYTES = 512 << 20  # what does not fit is spilled to disk
REPEATABLE = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}  # what CUDA needs for it
QUIET = ("ray", "ray.data", "ray.train", "ray.tune")


@contextmanager
def cluster() -> Iterator[None]:
    """Ray while it is needed; whatever happens, nothing of it stays behind."""
    local = "RAY_ADDRESS" not in os.environ
    # Ray's processes inherit this: Ctrl-C is for us, who then shut them down in order.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        ray.init(
            include_dashboard=False if local else None,
            object_store_memory=OBJECT_STORE_BYTES if local else None,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
    finally:
        signal.signal(signal.SIGINT, handler)
    # Ray would print a stack trace: to be asked to end is to be stopped as by Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for name in QUIET:
            logging.getLogger(name).setLevel(logging.ERROR)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = True
        yield
    finally:
        ray.shutdown()


def fit(
    plan: Plan, dataset: ray.data.Dataset, *, storage: Path, name: str, progress: Address
) -> ray.train.Result:
    """Trains with as many workers as the settings say; a killed one is replaced.

    A run of this name that was cut off goes on.
    """
    blocks = dataset.get_internal_block_refs()
    trainer = trainer_of(
        plan, blocks, storage=storage, name=name, progress=progress, threads=cores()
    )
    return _outside_main_thread(trainer.fit)


def trainer_of(
    plan: Plan,
    blocks: Sequence["ray.ObjectRef[pa.Table]"],
    *,
    storage: Path,
    name: str,
    progress: Address,
    threads: int,
) -> TorchTrainer:
    """What trains on these blocks of the history, with so many threads in all."""
    settings = plan.settings
    return TorchTrainer(
        work,  # type: ignore[arg-type]  # Ray's types know no return value
        train_loop_config={
            "plan": plan,
            "progress": progress,
            "threads": threads,
            "blocks": blocks,
        },
        scaling_config=ray.train.ScalingConfig(num_workers=settings.workers, use_gpu=settings.gpu),
        run_config=ray.train.RunConfig(
            name=name,
            storage_path=str(storage.resolve()),
            failure_config=ray.train.FailureConfig(max_failures=settings.max_failures),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=1),
            worker_runtime_env={"env_vars": REPEATABLE},  # type: ignore[call-arg]
        ),
    )


def cores() -> int:
    """How many cores Ray has found, which in a container are those of its limit."""
    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def host() -> str:
    """Where workers reach this process; only within this machine if they are all on it."""
    nodes = [node for node in ray.nodes() if node["Alive"]]
    return LOCAL if len(nodes) == 1 else str(ray.util.get_node_ip_address())


def _outside_main_thread(work: Any) -> Any:
    """In the main thread Ray Train would take over Ctrl-C, and exit with status 0."""
    executor = ThreadPoolExecutor(1, thread_name_prefix="fit")
    try:
        return executor.submit(work).result()
    finally:
        executor.shutdown(wait=False)
