"""The privacy of a customer over a real channel: erased at once, exported whole."""

import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from interplay.v1.customer_service_pb2 import (
    EraseCustomerRequest,
    EraseCustomerResponse,
    ExportCustomerRequest,
    GetCustomerRequest,
)
from interplay.v1.interaction_pb2 import Money

from features.history.draining import drain
from features.online.materialization import materialize
from tests.running import Running, add_items, decide, record, viewed
from tests.test_erasure import traces

APART_NS = 10_000_000  # what is less than 4 ms apart has no order
ERASED = "ada-4711"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home without a model: customers need none."""
    add_items(tmp_path, "eggs")
    return tmp_path


def erase(running: Running, **ids: str) -> EraseCustomerResponse:
    return running.customers.EraseCustomer(EraseCustomerRequest(**ids))


def held(running: Running, **ids: str) -> int:
    return len(running.customers.GetCustomer(GetCustomerRequest(**ids)).interactions)


def export(running: Running, **ids: str) -> list[dict[str, Any]]:
    lines = running.customers.ExportCustomer(ExportCustomerRequest(**ids))
    return [json.loads(each.line) for each in lines]


def in_the_past(running: Running, *names: str) -> list[Any]:
    """Two views of each, a moment ago; no two at the same time."""
    began_ns, views = time.time_ns() - 9 * 10**9, []
    for number, name in enumerate(names * 2):
        at = Timestamp()
        at.FromNanoseconds(began_ns + number * APART_NS)
        views.append(viewed(name, "eggs", event_time=at))
    return views


def test_nothing_is_held_from_the_answer_on(home: Path) -> None:
    with Running(home) as running:
        assert record(running, *in_the_past(running, ERASED, "bob")) == (4, 0)
        assert held(running, customer_id=ERASED) == 2
        before = datetime.now(UTC)
        receipt = erase(running, customer_id=ERASED)
        assert (held(running, customer_id=ERASED), held(running, customer_id="bob")) == (0, 2)
        erased = receipt.erasure_time.ToDatetime(UTC)
        assert (erased - before).total_seconds() > -1 / 256
        assert [(each.place, each.count) for each in receipt.removals] == [("online store", 2)]
        assert receipt.remaining[0].endswith("python -m features erase --pending")
        assert erase(running, customer_id="nobody").removals[0].count == 0


def test_late_interactions_are_refused_and_later_ones_begin_anew(home: Path) -> None:
    with Running(home) as running:
        late = in_the_past(running, ERASED)[0]
        erased = erase(running, customer_id=ERASED).erasure_time
        with pytest.raises(grpc.RpcError) as refused:
            record(running, viewed("bob", "eggs"), late)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        text = refused.value.details()
        assert text.startswith("interactions[1].customer_id is an erased customer, with event_time")
        assert f"erased at {erased.ToDatetime(UTC).isoformat()[:19]}" in text
        assert ERASED not in text
        with pytest.raises(grpc.RpcError, match="was erased at"):
            decide(running, ERASED, interactions=[late])
        again = viewed(ERASED, "eggs", event_time=Timestamp(seconds=erased.seconds + 1))
        assert record(running, again) == (1, 0)
        assert held(running, customer_id=ERASED) == 1


def test_another_process_hears_of_it(home: Path) -> None:
    with Running(home) as one, Running(home) as other:
        record(one, *in_the_past(one, ERASED))
        erase(one, customer_id=ERASED)
        assert held(other, customer_id=ERASED) == 0
        other.run(other.server.learn_erasures())
        with pytest.raises(grpc.RpcError, match="was erased at"):
            record(other, *in_the_past(other, ERASED))


def test_what_lies_a_little_ahead_is_erased_as_well(home: Path) -> None:
    ahead = Timestamp(seconds=int(time.time()) + 200)
    with Running(home) as running:
        record(running, viewed(ERASED, "eggs", event_time=ahead))
        assert erase(running, customer_id=ERASED).erasure_time.seconds == ahead.seconds
        with pytest.raises(grpc.RpcError, match="was erased at"):
            record(running, viewed(ERASED, "eggs", event_time=ahead))


def test_the_devices_of_a_customer_go_along(home: Path) -> None:
    device = {"anonymous_id": f"{ERASED}-phone"}
    with Running(home) as running:
        record(running, viewed("", "eggs", **device))
        record(running, viewed(ERASED, "", type="identify", **device))
        assert held(running, customer_id=ERASED) == 2
        receipt = erase(running, customer_id=ERASED)
        assert receipt.anonymous_id_count == 1
        assert held(running, **device) == 0
        with pytest.raises(grpc.RpcError, match=r"anonymous_id is an erased customer"):
            record(running, viewed("", "eggs", **device))


def features(home: Path, *arguments: str) -> str:
    """What a command prints."""
    command = [sys.executable, "-m", "features", *arguments, "--home", str(home)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return run.stdout


def test_no_store_and_no_file_holds_the_erased_one_and_nothing_comes_back(home: Path) -> None:
    with Running(home) as running:
        record(running, *in_the_past(running, *[ERASED, "bob", f"{ERASED}-sister"] * 20))
        drain(running.settings)
        record(running, *in_the_past(running, ERASED))
        erase(running, customer_id=ERASED)
        erase(running, customer_id=f"{ERASED}-sister")
        receipt = json.loads(features(home, "erase", "--pending", "--json"))
        assert receipt["removed"]["log"] == 82
        assert receipt["removed"]["history"] == 80
        assert len(receipt["remaining"]) == 1  # models that are trained already
        assert drain(running.settings) == 0
        assert materialize(running.settings).interaction_count == 40
        assert (held(running, customer_id=ERASED), held(running, customer_id="bob")) == (0, 40)
    assert traces(home, ERASED) == []
    assert traces(home, "bob") != []


def test_an_import_of_the_same_rows_refuses_them(home: Path, tmp_path: Path) -> None:
    source = tmp_path / "visits.csv"
    rows = [f"{name},eggs,2026-01-0{day} 10:00" for day in (1, 2) for name in (ERASED, "bob")]
    source.write_text("\n".join(["customer_id,item_id,event_time", *rows, ""]))
    constant = [f"--set={each}" for each in ("type=view", "channel=web")]
    assert "accepted" in features(home, "import", str(source), *constant)
    printed = features(home, "erase", ERASED)
    assert " ".join(printed.split()).count("history 2") == 1
    again = " ".join(features(home, "import", str(source), *constant).split())
    assert "accepted 0 duplicate 2 rejected 2 history holds now 2" in again
    assert "customer_id: was erased at" in again
    source.unlink()
    assert traces(home, ERASED) == []


def test_an_export_holds_everything_once(home: Path) -> None:
    money = Money(currency_code="EUR", amount=20.5)
    with Running(home) as running:
        bought = viewed("ada", "eggs", type="purchase", money=money, attributes={"size": "L"})
        record(running, bought, viewed("ada", "", type="opt-in", attributes={"purpose": "contact"}))
        drain(running.settings)
        record(running, viewed("", "eggs", anonymous_id="phone"), viewed("bob", "eggs"))
        record(running, viewed("ada", "", type="identify", anonymous_id="phone"))
        lines = export(running, customer_id="ada")
        assert [each["kind"] for each in lines] == [
            "customer",
            "link",
            *["consent"] * 3,
            *["interaction"] * 4,
            *["feature"] * 4,
        ]
        assert lines[0]["customer_id"] == "ada"
        assert (lines[0]["interactions"], lines[0]["features"]) == (4, 4)
        assert lines[1] == {"kind": "link", "anonymous_id": "phone"}
        said = {each["purpose"]: each["allowed"] for each in lines if each["kind"] == "consent"}
        assert said == {"personalization": None, "measurement": None, "contact": True}
        first, _, third, fourth = lines[5:9]
        assert (first["type"], first["amount"], first["currency"]) == ("purchase", 20.5, "EUR")
        assert (first["attributes"], first["item_id"]) == ({"size": "L"}, "eggs")
        assert (third["anonymous_id"], third["type"], fourth["type"]) == (
            "phone",
            "view",
            "identify",
        )
        assert [each["type"] for each in lines[9:]] == ["identify", "view", "opt-in", "purchase"]
        printed = features(home, "export", "ada").splitlines()
        assert [json.loads(each) for each in printed[1:]] == lines[1:]
        assert [each["kind"] for each in export(running, customer_id="nobody")] == [
            "customer",
            *["consent"] * 3,
        ]


def test_who_is_to_be_exported_must_be_named(home: Path) -> None:
    with Running(home) as running:
        with pytest.raises(grpc.RpcError) as refused:
            export(running)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert refused.value.details().startswith("customer_id is ''")
