"""Whoever listens to a log is told what others append of those asked for, and of nobody else."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue

import pytest

from features.interaction import Interaction
from features.log.contract import Log, LogError
from features.log.nats import NatsLog
from features.log.pokes import Ear, Pokes
from features.log.sqlite import SqliteLog
from tests.interactions import interaction
from tests.nats_server import NatsServer

PATIENCE_S = 60.0
Heard = SimpleQueue[Sequence[Interaction] | None]


@pytest.fixture(params=["sqlite", "nats"])
def logs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[Log]]:
    """The same log twice, as two processes have it."""
    if request.param == "sqlite":
        path = tmp_path / "log.db"
        with SqliteLog(path) as first, SqliteLog(path) as second:
            yield [first, second]
        return
    with ExitStack() as stack:
        nats = stack.enter_context(NatsServer(tmp_path / "nats"))
        yield [stack.enter_context(NatsLog(nats.url)) for _ in range(2)]


def of_ada(customer_id: str | None, anonymous_id: str | None) -> bool:
    return customer_id == "ada" or anonymous_id == "cookie"


def test_what_is_wanted_is_told_in_order(logs: list[Log]) -> None:
    here, there = logs
    heard: Heard = SimpleQueue()
    there.append([[interaction(1)]])
    end = here.listen(of_ada, heard.put)
    others = [interaction(number, customer_id="bob") for number in (2, 3)]
    device = interaction(4, customer_id=None, anonymous_id="cookie")
    there.append([others, [interaction(5), device]])
    here.append([[interaction(6)]])
    told: list[Interaction] = []
    while len(told) < 3:
        told += heard.get(timeout=PATIENCE_S) or []
    assert told == [interaction(5), device, interaction(6)]
    end()
    there.append([[interaction(7)]])
    assert heard.empty()


def test_a_connection_that_was_lost_is_told(tmp_path: Path) -> None:
    heard: Heard = SimpleQueue()
    with NatsServer(tmp_path / "nats") as nats, NatsLog(nats.url) as log:
        end = log.listen(of_ada, heard.put)
        nats.stop()
        nats.start()
        assert heard.get(timeout=PATIENCE_S) is None
        end()


def test_where_there_is_no_log_nobody_listens(tmp_path: Path) -> None:
    with NatsServer(tmp_path / "nats") as nats, NatsLog(nats.url) as log:
        nats.stop()
        with pytest.raises(LogError):
            log.listen(of_ada, lambda told: None)
        nats.start()


def test_a_poke_reaches_who_listens_and_clears_away_who_died(tmp_path: Path) -> None:
    folder, pokes = tmp_path / "listeners", Pokes(tmp_path / "listeners")
    pokes.poke()  # nobody ever has
    ear, dead = Ear(folder), Ear(folder)
    dead._socket.close()  # as a process that is killed leaves it
    pokes.poke()
    pokes.poke()
    ear.wait()
    assert len(list(folder.iterdir())) == 1
    ear.close()
    pokes.poke()
    assert list(folder.iterdir()) == []
    dead.close()
    pokes.close()
