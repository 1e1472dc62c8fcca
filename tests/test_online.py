"""Both online stores behave alike: merging, positions, erasure, and the mark of a whole store."""

import itertools
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from feast.protos.feast.core.Registry_pb2 import Registry
from feast.repo_config import RegistryConfig
from hypothesis import given, settings
from hypothesis import strategies as st

from features.attention import MAX_ATTENTION_RECORDS
from features.item import Item
from features.online.contract import OnlineError, gaps, newest
from features.online.registry import WholeFileRegistryStore
from features.online.store import Debit, OnlineFeatures
from features.settings import FeatureSettings
from tests.redis_server import RedisServer

MAX_RECORDS = 5
NUMBERS = itertools.count()


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def store_settings(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FeatureSettings]:
    home = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite":
        yield FeatureSettings(home=home, max_records=MAX_RECORDS)
        return
    with RedisServer(home) as server:
        yield FeatureSettings(home=home, max_records=MAX_RECORDS, online_url=server.url)


@pytest.fixture(scope="module")
def online(store_settings: FeatureSettings) -> OnlineFeatures:
    return OnlineFeatures(store_settings)


def fresh(name: str = "customer") -> str:
    """A name that no test has used."""
    return f"{name}-{next(NUMBERS)}"


def record(tick: int, rest: int = 0) -> bytes:
    return tick.to_bytes(5, "big") + rest.to_bytes(9, "big")


def records(*ticks: int) -> bytes:
    return b"".join(record(tick) for tick in ticks)


def read(online: OnlineFeatures, key: str) -> bytes:
    (history,) = online.read_histories([key])
    return history


# Times of all sizes, with equal ones, and bytes that text comparison orders differently.
RECORD = st.builds(
    record,
    st.sampled_from([0, 1, 2, 2**31, 2**32 - 1, 2**32, 2**39, 2**40 - 1]),
    st.sampled_from([0, 1, 255, 2**15, 2**16, 2**63, 2**72 - 1]),
)
BATCHES = st.lists(st.lists(RECORD, max_size=12), max_size=8)


@settings(max_examples=200)
@given(batches=BATCHES)
def test_any_order_and_batching_ends_in_the_newest(
    online: OnlineFeatures, batches: list[list[bytes]]
) -> None:
    key, every = fresh(), {each for batch in batches for each in batch}
    for batch in batches:
        online.write_records({key: b"".join(batch)})
    assert read(online, key) == b"".join(sorted(every)[-MAX_RECORDS:])


@settings(max_examples=100)
@given(batches=BATCHES, erased=st.sampled_from([0, 2, 2**31, 2**40 - 2]))
def test_erased_records_stay_out_in_any_order(
    online: OnlineFeatures, batches: list[list[bytes]], erased: int
) -> None:
    key, cut = fresh(), record(erased, 2**72 - 1)
    online.erase([key], erased)
    for batch in batches:
        online.write_records({key: b"".join(batch)})
    late = sorted({each for batch in batches for each in batch if each > cut})
    assert read(online, key) == b"".join(late[-MAX_RECORDS:])


def test_new_records_are_counted(online: OnlineFeatures) -> None:
    ada, bob = fresh(), fresh()
    assert online.merge_records({ada: records(3, 1, 3), bob: records(7)}) == {ada: 2, bob: 1}
    assert online.merge_records({ada: records(3)}) == {ada: 0}
    assert online.merge_records({ada: records(2, 3, 4), bob: b""}) == {ada: 2, bob: 0}
    assert online.merge_records({ada: records(5, 6, 7)}) == {ada: 3}
    assert read(online, ada) == records(3, 4, 5, 6, 7)
    assert online.merge_records({ada: records(1)}) == {ada: 1}  # too old: nobody knows
    assert online.merge_records({ada: records(*range(9))}) == {ada: 5}  # 8, and 0 to 3: too old
    assert online.merge_records({}) == {}


def test_a_customer_is_erased_at_once_and_wholly(online: OnlineFeatures) -> None:
    ada, bob = fresh(), fresh()
    online.write_records({ada: records(1, 9), bob: records(1)})
    online.write_consents({ada: records(3)})
    online.write_joins({ada: bob})
    online.erase([ada, fresh()], 5)
    (known,) = online.read_known([ada])
    assert (known.history, known.consent, known.joined_to) == (b"", b"", "")
    assert read(online, bob) == records(1)
    online.erase([ada], 3)  # of two erasures the later holds
    assert online.merge_records({ada: records(4, 5, 6)}) == {ada: 1}
    online.write_consents({ada: records(5)})
    assert online.read_known([ada])[0].history == records(6)
    assert online.read_known([ada])[0].consent == b""


def test_sqlite_keeps_no_name_of_the_erased(tmp_path: Path) -> None:
    online = OnlineFeatures(FeatureSettings(home=tmp_path))
    online.write_records({"somebody": records(1)})
    files = list(tmp_path.glob("online.db*"))
    assert any(b"somebody" in file.read_bytes() for file in files)
    online.erase(["somebody"], 5)
    assert not any(b"somebody" in file.read_bytes() for file in files)
    assert online.merge_records({"somebody": records(5)}) == {"somebody": 0}


@settings(max_examples=60)
@given(
    parts=st.lists(st.lists(st.integers(1, 40), max_size=9), max_size=9), up_to=st.integers(0, 45)
)
def test_positions_are_noted_in_any_order(
    online: OnlineFeatures, parts: list[list[int]], up_to: int
) -> None:
    stream, noted = fresh("log/stream"), {each for part in parts for each in part}
    for part in parts:
        online.note_applied(stream, part)
    prefix = next(each for each in range(50) if each + 1 not in noted)
    lacking = [each for each in range(1, up_to + 1) if each not in noted]
    assert online.applied_position(stream) == prefix
    assert online.missing(stream, up_to, 100) == lacking
    assert online.missing(stream, up_to, 3) == lacking[:3]


def test_everything_up_to_a_position_is_applied(online: OnlineFeatures) -> None:
    stream = fresh("stream")
    assert online.applied_position(stream) == 0
    online.note_applied(stream, [4, 6, 9, 2])
    online.advance(stream, 3)
    assert online.applied_position(stream) == 4
    online.advance(stream, 1)
    assert online.applied_position(stream) == 4
    assert online.missing(stream, 10, 100) == [5, 7, 8, 10]
    online.note_applied(stream, [1, 5, 4])
    assert online.applied_position(stream) == 6


def test_many_positions_behind_a_gap(online: OnlineFeatures) -> None:
    stream = fresh("stream")
    online.note_applied(stream, [*range(2, 2501), *range(2503, 4001)])
    assert online.applied_position(stream) == 0
    assert online.missing(stream, 4002, 100) == [1, 2501, 2502, 4001, 4002]
    assert online.missing(stream, 2501, 100) == [1, 2501]
    online.note_applied(stream, [1])
    assert online.applied_position(stream) == 2500
    assert online.missing(stream, 4002, 2) == [2501, 2502]


def test_a_store_is_whole_when_it_was_said_to_be(online: OnlineFeatures) -> None:
    key = fresh()
    online.write_records({key: records(1)})
    before = online.read([key, fresh()], log_id="log-1")
    assert (before.histories, before.whole) == ([records(1), b""], False)
    online.mark_whole("log-1")
    assert online.is_whole("log-1")
    assert online.read([key], log_id="log-1").whole
    assert not online.read([key], log_id="log-2").whole
    online.mark_whole("log-2")
    assert not online.is_whole("log-1")
    assert online.read([], log_id="log-2").whole


def test_items_are_replaced_and_deleted(online: OnlineFeatures) -> None:
    mug = fresh("mug")
    online.write_items([Item(item_id=mug, name="Mug")])
    online.write_items([Item(item_id=mug, name="Cup", tags=("a",))])
    assert online.read_item(mug) == Item(item_id=mug, name="Cup", tags=("a",))
    online.delete_items([mug, fresh("mug")])
    assert online.read_item(mug) is None


def test_half_a_record_is_refused(online: OnlineFeatures) -> None:
    with pytest.raises(ValueError, match="17 bytes are no whole number of 14-byte records"):
        online.write_records({fresh(): bytes(17)})


WRITERS = """
import multiprocessing, sys
from pathlib import Path
from features.settings import FeatureSettings
from features.online.store import Debit, OnlineFeatures

home, max_records, url = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
settings = FeatureSettings(home=home, max_records=max_records, online_url=url)

def write(first):
    online = OnlineFeatures(settings)
    for tick in range(first, 400, 7):  # every tick is written, most by more than one
        blob = tick.to_bytes(5, "big") + bytes(9)
        online.write_records({"shared-ada": blob, "shared-bob": blob})
        online.note_applied("shared-stream", [tick])

processes = [multiprocessing.get_context("fork").Process(target=write, args=(n,)) for n in range(8)]
for each in processes: each.start()
for each in processes: each.join()
sys.exit(any(each.exitcode for each in processes))
"""


def test_eight_processes_lose_no_write(
    online: OnlineFeatures, store_settings: FeatureSettings
) -> None:
    home, url = store_settings.home, store_settings.online_url
    command = [sys.executable, "-c", WRITERS, str(home), str(MAX_RECORDS), url]
    assert subprocess.run(command).returncode == 0
    expected = records(395, 396, 397, 398, 399)
    assert online.read_histories(["shared-ada", "shared-bob"]) == [expected, expected]
    assert online.applied_position("shared-stream") == 399


def test_a_broken_sqlite_file_is_an_online_error(tmp_path: Path) -> None:
    online = OnlineFeatures(FeatureSettings(home=tmp_path))
    for file in tmp_path.glob("online.db*"):
        file.write_bytes(b"nothing of SQLite's" * 1000)
    with pytest.raises(OnlineError, match=r"^SQLite could not .*: "):
        OnlineFeatures(FeatureSettings(home=tmp_path))
    with pytest.raises(OnlineError, match=r"^SQLite could not "):
        online.read_histories(["ada"])


def test_the_registry_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    config = RegistryConfig(path=str(tmp_path / "registry.db"))
    store, registry = WholeFileRegistryStore(config, tmp_path), Registry()
    registry.entities.add().spec.name = "customer" * 100_000
    with ThreadPoolExecutor(1) as pool:
        store.update_registry_proto(registry)
        writing = pool.submit(lambda: [store.update_registry_proto(registry) for _ in range(50)])
        while not writing.done():
            assert store.get_registry_proto().entities == registry.entities
        writing.result()
    assert [each.name for each in tmp_path.iterdir()] == ["registry.db"]


def test_the_newest_are_kept_and_the_others_counted() -> None:
    assert newest(records(2, 1, 3, 2), 2) == (records(2, 3), 1)
    assert newest(records(1), 2) == (records(1), 0)
    assert newest(b"", 2) == (b"", 0)


def test_gaps_stand_between_noted_positions() -> None:
    assert gaps(2, [4, 5, 8], 10, 9) == [3, 6, 7, 9, 10]
    assert gaps(2, [4, 5, 8], 6, 9) == [3, 6]
    assert gaps(2, [9], 10, 3) == [3, 4, 5]
    assert gaps(2, [], 2, 3) == []


def test_of_two_who_spend_one_finds_the_ledger_changed(online: OnlineFeatures) -> None:
    ada, bob = fresh(), fresh()
    first, second, third = record(1), record(2, 7), record(3)
    both = [Debit(ada, b"", first), Debit(ada, b"", second), Debit(bob, b"", second)]
    assert online.spend(both) == [b"", first, b""]
    (known,) = online.read_known([ada], ledgers=True)
    assert known.attention == first
    assert online.spend([Debit(ada, first, third)]) == [first]
    online.write_attention({ada: second, bob: second})  # merging is as with every history
    ledgers = [each.attention for each in online.read_known([ada, bob], ledgers=True)]
    assert ledgers == [first + second + third, second]
    assert online.read_known([ada])[0].attention == b""  # nobody asked for it


def test_a_ledger_keeps_its_newest_and_goes_with_its_customer(online: OnlineFeatures) -> None:
    ada, ledger = fresh(), b""
    for number in range(1, MAX_ATTENTION_RECORDS + 3):
        assert online.spend([Debit(ada, ledger, record(number))]) == [ledger]
        ledger = (ledger + record(number))[-len(record(0)) * MAX_ATTENTION_RECORDS :]
    (known,) = online.read_known([ada], ledgers=True)
    assert known.attention == ledger == records(*range(3, MAX_ATTENTION_RECORDS + 3))
    online.erase([ada], 100)
    assert online.read_known([ada], ledgers=True)[0].attention == b""
    assert online.spend([Debit(ada, b"", record(100))]) == [None]
    assert online.spend([Debit(ada, b"", record(101))]) == [b""]
