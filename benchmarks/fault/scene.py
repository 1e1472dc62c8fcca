"""The scene of a fault: a home with a trained model, its stores, and servers, all real."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.composed import Server, run_program, started
from benchmarks.story import customers
from features.settings import Home
from tests.nats_server import NatsServer
from tests.redis_server import RedisServer
from training.publishing import Publisher

HOME = Home(Path(".interplay/bench/faults"))
SIMULATION = ("--customers", "600", "--days", "60", "--items", "1000", "--seed", "5")


@dataclass(frozen=True)
class Stores:
    """An online store and a log of one's own, with all that the history holds."""

    redis: RedisServer
    nats: NatsServer
    home: Path

    @cached_property
    def arguments(self) -> tuple[str, ...]:
        """For a program."""
        return ("--log-url", self.nats.url, "--online-url", self.redis.plain_url)

    @cached_property
    def patient(self) -> tuple[str, ...]:
        """For a program that fills them, on a busy machine."""
        return ("--log-url", self.nats.url, "--online-url", self.redis.url)

    @contextmanager
    def server(self, *arguments: str) -> Iterator[Server]:
        """One replica."""
        with started(self.home, *self.arguments, *arguments) as server:
            yield server


@dataclass(frozen=True)
class Scene:
    """What every fault begins with. Nothing of one is left to the next."""

    quick: bool = False  # a trial: fewer repetitions

    def times(self, count: int) -> int:
        """How often something is repeated."""
        return max(1, count // 20) if self.quick else count

    @contextmanager
    def home(self, folder: Path | None = None) -> Iterator[Path]:
        """A copy of the home, embedded; its models stay where they are."""
        with tempfile.TemporaryDirectory(prefix="interplay-", dir=folder) as place:
            copied = Path(place) / "home"
            shutil.copytree(HOME.path, copied, ignore=shutil.ignore_patterns("mlflow", "truth"))
            yield copied

    @contextmanager
    def stores(self, *redis_settings: str) -> Iterator[Stores]:
        """Redis and NATS, filled from the history."""
        with ExitStack() as stack:
            home = stack.enter_context(self.home())
            redis = stack.enter_context(RedisServer(home.parent, *redis_settings))
            nats = stack.enter_context(NatsServer(home.parent / "nats"))
            stores = Stores(redis, nats, home)
            run_program("features", "materialize", "--home", home, *stores.patient)
            yield stores

    @cached_property
    def customers(self) -> list[str]:
        """Who is asked about."""
        return customers(HOME, most=300)


def prepare(*, again: bool = False) -> None:
    """A home with a history, a model and features; made once, as it takes a minute."""
    if again:
        shutil.rmtree(HOME.path, ignore_errors=True)
    if HOME.path.exists() and Publisher(HOME).champion() is not None:
        return
    shutil.rmtree(HOME.path, ignore_errors=True)
    run_program("features", "simulate", *SIMULATION, "--home", HOME.path)
    run_program("training", "train", "--epochs", "1", "--home", HOME.path)
    run_program("features", "materialize", "--home", HOME.path)
