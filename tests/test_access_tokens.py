"""Tokens: signed by whom we trust, for us, and not a moment longer than they say."""

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from interplay.v1.catalog_service_pb2 import GetItemRequest

from serving.access.callers import Stranger
from tests.access import caller, ending, refused, with_key, write_access
from tests.running import Running

EGGS = GetItemRequest(item_id="eggs")
TOKENS = {
    "issuer": "https://id.example.com/",
    "audience": "interplay",
    "keys": "jwks.json",
    "claims": {"tenant": "shop"},
}


class Issuer:
    """Signs tokens with one key."""

    def __init__(self, kid: str = "first") -> None:
        self.kid, self.key = kid, ec.generate_private_key(ec.SECP256R1())

    def public(self) -> dict[str, Any]:
        """The key as it stands in a JWKS file."""
        found = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key()))
        return found | {"kid": self.kid, "alg": "ES256", "use": "sig"}

    def token(self, *, without: str = "", **changes: Any) -> str:
        """A good one, but for these."""
        claims: dict[str, Any] = {
            "iss": TOKENS["issuer"],
            "aud": "interplay",
            "sub": "robot@shop",
            "exp": time.time() + 300,
            "tenant": "shop",
        }
        claims |= changes
        claims.pop(without, None)
        return jwt.encode(claims, self.key, algorithm="ES256", headers={"kid": self.kid})


class Shop(NamedTuple):
    """A server, and who signs tokens for it."""

    server: Running
    issuer: Issuer


def write_keys(path: Path, *issuers: Issuer) -> None:
    path.write_text(json.dumps({"keys": [each.public() for each in issuers]}))


@pytest.fixture(scope="module")
def shop(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder, issuer = tmp_path_factory.mktemp("access"), Issuer()
    write_keys(folder / "jwks.json", issuer)
    access = folder / "access.yaml"
    write_access(access, caller("robot", "catalog", subjects=["robot@shop"]), tokens=TOKENS)
    with Running(home, access=str(access)) as server:
        yield Shop(server, issuer)


def get_item(shop: Shop, token: str) -> str:
    return ending(shop.server.catalog.GetItem, EGGS, with_key(token))


def test_a_good_token_says_who_calls(shop: Shop) -> None:
    token = shop.issuer.token()
    assert [get_item(shop, token) for _ in range(2)] == ["OK", "OK"]
    api_key = (("x-api-key", token),)
    assert ending(shop.server.catalog.GetItem, EGGS, api_key) == "OK"


def forged(shop: Shop, *, header: dict[str, Any], key: str = "") -> str:
    """A token whose header says how it should be checked."""
    claims = jwt.decode(shop.issuer.token(), options={"verify_signature": False})
    return jwt.encode(claims, key, algorithm=header["alg"], headers=header)


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_any_other_token_is_refused_and_the_caller_is_not_told_why(shop: Shop) -> None:
    good, before = shop.issuer.token(), refused(shop.server, "unknown-credentials")
    head, body, signature = good.split(".")
    public = shop.issuer.key.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    tokens = [
        *(shop.issuer.token(without=each) for each in ("exp", "iss", "aud", "sub", "tenant")),
        shop.issuer.token(iss="https://id.example.org/"),
        shop.issuer.token(aud="another-service"),
        shop.issuer.token(sub="somebody@shop"),
        shop.issuer.token(tenant="another-shop"),
        shop.issuer.token(nbf=time.time() + 300),
        Issuer().token(),
        Issuer("unknown").token(),
        forged(shop, header={"alg": "none", "kid": "first"}),
        forged(
            shop, header={"alg": "HS256", "kid": "first"}, key=base64.b64encode(public).decode()
        ),
        f"{head}.{body}.{signature[::-1]}",
        f"{head}.{body}.",
        "no-token",
        "",
        "a" * 5_000,  # of more than 8 KiB gRPC refuses some by lot
    ]
    assert {get_item(shop, each) for each in tokens} == {"UNAUTHENTICATED"}
    assert refused(shop.server, "unknown-credentials") == before + len(tokens)


def test_a_token_that_has_expired_is_refused(shop: Shop) -> None:
    before = refused(shop.server, "expired-credentials")
    assert get_item(shop, shop.issuer.token(exp=time.time() - 60)) == "UNAUTHENTICATED"
    assert refused(shop.server, "expired-credentials") == before + 1


def test_a_token_that_was_good_is_refused_once_it_has_expired(shop: Shop) -> None:
    token, guard = shop.issuer.token(), shop.server.server.entrance.guard
    assert get_item(shop, token) == "OK"
    before, clock = refused(shop.server, "expired-credentials"), guard.clock
    guard.clock = lambda: clock() + 400
    try:
        assert get_item(shop, token) == "UNAUTHENTICATED"
    finally:
        guard.clock = clock
    assert refused(shop.server, "expired-credentials") == before + 1
    assert get_item(shop, token) == "OK"


def test_keys_of_the_issuer_are_exchanged_without_a_restart(shop: Shop) -> None:
    path, second = Path(shop.server.settings.access).with_name("jwks.json"), Issuer("second")
    old, new = shop.issuer.token(), second.token()
    assert [get_item(shop, each) for each in (old, new)] == ["OK", "UNAUTHENTICATED"]
    write_keys(path, shop.issuer, second)
    shop.server.refresh()
    assert [get_item(shop, each) for each in (old, new)] == ["OK", "OK"]
    write_keys(path, second)
    shop.server.refresh()
    assert [get_item(shop, each) for each in (old, new)] == ["UNAUTHENTICATED", "OK"]
    path.write_text("{")
    shop.server.refresh()  # says what is wrong, and goes on
    assert [get_item(shop, each) for each in (old, new)] == ["UNAUTHENTICATED", "OK"]
    write_keys(path, shop.issuer)
    shop.server.refresh()
    assert [get_item(shop, each) for each in (old, new)] == ["OK", "UNAUTHENTICATED"]


def test_a_flood_of_new_tokens_does_not_keep_out_who_is_known(shop: Shop) -> None:
    token, guard = shop.issuer.token(), shop.server.server.entrance.guard
    assert get_item(shop, token) == "OK"
    assert guard.callers is not None
    now_s = guard.clock()
    found = [guard.callers.holder(f"forged-{number}", now_s) for number in range(310)]
    assert found[-10:] == [Stranger.UNCHECKED] * 10
    guard.clock = lambda: now_s
    try:
        assert get_item(shop, token) == "OK"
        assert get_item(shop, shop.issuer.token(jti="new")) == "RESOURCE_EXHAUSTED"
    finally:
        guard.clock = time.time
    assert refused(shop.server, "unchecked-credentials") == 1
