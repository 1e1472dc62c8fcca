"""Faults of callers who are not whom they say: certificates, keys, rights, tenants, tokens."""

import re
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from interplay.v1.catalog_service_pb2 import GetItemRequest, Item, UpsertItemsRequest
from interplay.v1.catalog_service_pb2_grpc import CatalogServiceStub
from interplay.v1.customer_service_pb2 import GetCustomerRequest
from interplay.v1.customer_service_pb2_grpc import CustomerServiceStub
from interplay.v1.personalization_service_pb2_grpc import PersonalizationServiceStub

from benchmarks.composed import Server, started
from benchmarks.fault.scene import Scene
from benchmarks.fault.trial import Fault, Seen, all_of, none_of
from benchmarks.frontend import question
from serving.access.keys import new_key
from serving.access.tokens import LEEWAY_S
from tests.access import caller, ending, with_key, write_access
from tests.authority import Authority
from tests.redis_server import free_port
from tests.test_access_tokens import TOKENS, Issuer, write_keys

WEB = "spiffe://interplay/channel/web"
REFUSED = re.compile(r"^interplay_refused_calls_total\{.*\} ([\d.e+]+)$", re.MULTILINE)
VALID_S = 4.0  # so long the token may be used that is replayed later
APART = [("grpc.use_local_subchannel_pool", 1)]
UNAUTHENTICATED, PERMISSION_DENIED = "UNAUTHENTICATED", "PERMISSION_DENIED"
BY_TLS = "UNAVAILABLE"  # nothing of the call has been read


def faults() -> list[Fault]:
    """Of those who call."""
    return [
        Fault(
            "strangers",
            "plaintext; no certificate, a rogue one; wrong key; missing right; another channel; "
            "another tenant's token, a token that has expired since it was accepted",
            "refused, counted, logged without secrets; whoever may is answered",
            _knock,
        )
    ]


@dataclass(frozen=True, slots=True)
class House:
    """A server that asks who calls, and what it takes to be let in."""

    server: Server
    authority: Authority
    issuer: Issuer
    key: str
    metrics_port: int

    def open(self, authority: Authority | None, *, certificate: bool = True) -> grpc.Channel:
        """A connection with a certificate of this authority."""
        if authority is None:
            return grpc.insecure_channel(self.server.address, APART)
        own = authority.client(WEB) if certificate else None
        pair = (own.key, own.certificate) if own else (None, None)
        credentials = grpc.ssl_channel_credentials(self.authority.pem, *pair)
        return grpc.secure_channel(self.server.address, credentials, APART)

    def counted(self) -> float:
        """Calls that were refused, by its own count."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics") as page:
            return sum(map(float, REFUSED.findall(page.read().decode())))


def _knock(scene: Scene) -> Seen:
    with scene.home() as home, _house(home) as house:
        secrets = [house.key, new_key()]
        tls = {name: _item(channel) for name, channel in _by_tls(house).items()}
        with house.open(house.authority) as channel:
            welcome = _welcome(channel, house, secrets)
            called = _refused(channel, house, secrets)
        counted, logged = house.counted(), house.server.complained()
    wrong = {name: code for name, code in tls.items() if code != BY_TLS}
    wrong |= {name: code for name, (code, right) in called.items() if code != right}
    expected = len(tls) + len(called)
    return Seen(
        [
            all_of("refused", expected - len(wrong), expected),
            all_of("counted, of those that TLS let in", int(counted), len(called)),
            none_of("of those who may, refused", sum(each != "OK" for each in welcome)),
            none_of("secrets in the log", sum(each in logged for each in secrets)),
        ],
        ", ".join(f"{name} {code}" for name, code in wrong.items()),
    )


def _by_tls(house: House) -> Mapping[str, grpc.Channel]:
    return {
        "plaintext": house.open(None),
        "no certificate": house.open(house.authority, certificate=False),
        "rogue certificate": house.open(Authority("rogue")),
    }


def _item(channel: grpc.Channel) -> str:
    with channel:
        return ending(CatalogServiceStub(channel).GetItem, GetItemRequest(item_id="item-000001"))


def _welcome(channel: grpc.Channel, house: House, secrets: list[str]) -> list[str]:
    """Those who may: by certificate, by key, by token."""
    token = house.issuer.token(exp=time.time() + 300)
    secrets.append(token)
    asked = question("ada", "web", k=1)
    return [
        ending(PersonalizationServiceStub(channel).DecideInteraction, asked),
        *(_get(channel, each) for each in (house.key, token)),
    ]


def _get(channel: grpc.Channel, secret: str) -> str:
    request = GetItemRequest(item_id="item-000001")
    return ending(CatalogServiceStub(channel).GetItem, request, with_key(secret))


def _refused(channel: grpc.Channel, house: House, secrets: list[str]) -> dict[str, tuple[str, str]]:
    """How their calls ended, and how they should have."""
    decide = PersonalizationServiceStub(channel).DecideInteraction
    customer = CustomerServiceStub(channel).GetCustomer
    upsert = CatalogServiceStub(channel).UpsertItems
    other, old = house.issuer.token(tenant="other"), _old_token(channel, house)
    secrets += [other, old]
    items = UpsertItemsRequest(items=[Item(item_id="item-000001")])
    return {
        "wrong key": (_get(channel, secrets[1]), UNAUTHENTICATED),
        "another tenant": (_get(channel, other), UNAUTHENTICATED),
        "old token": (_get(channel, old), UNAUTHENTICATED),
        "another channel": (ending(decide, question("ada", "app", k=1)), PERMISSION_DENIED),
        "no right to write items": (ending(upsert, items), PERMISSION_DENIED),
        "no right to see a customer": (
            ending(customer, GetCustomerRequest(customer_id="ada")),
            PERMISSION_DENIED,
        ),
    }


def _old_token(channel: grpc.Channel, house: House) -> str:
    """One that was accepted, and has expired since."""
    token = house.issuer.token(exp=time.time() - LEEWAY_S + VALID_S)
    assert _get(channel, token) == "OK"
    time.sleep(VALID_S + 1.0)
    return token


@contextmanager
def _house(home: Path) -> Iterator[House]:
    folder, authority, issuer = home.parent, Authority(), Issuer()
    key, port = new_key(), free_port()
    authority.server().write(folder)
    (folder / "ca.crt").write_bytes(authority.pem)
    write_keys(folder / "jwks.json", issuer)
    declared: list[dict[str, Any]] = [
        caller("web", "frontend", channels=["web"], certificates=[WEB]),
        caller("robot", "catalog", keys=[key], subjects=["robot@shop"]),
    ]
    write_access(folder / "access.yaml", *declared, tokens=TOKENS)
    names = {
        "--access": "access.yaml",
        "--tls-certificate": "tls.crt",
        "--tls-key": "tls.key",
        "--client-ca": "ca.crt",
    }
    protection = [word for flag, name in names.items() for word in (flag, str(folder / name))]
    metrics = ("--metrics-port", str(port))
    with started(home, *metrics, protection=protection) as server:
        yield House(server, authority, issuer, key, port)
