"""Certificates: who has none of ours is not heard; new ones are taken up while the server runs."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest
from cryptography import x509
from interplay.v1.catalog_service_pb2 import GetItemRequest
from interplay.v1.catalog_service_pb2_grpc import CatalogServiceStub

from serving.access.certificates import Certificates
from serving.access.keys import new_key
from serving.access.protection import ProtectionError
from tests.access import caller, ending, refused, with_key, write_access
from tests.authority import Authority, Pair
from tests.running import Running

WEB, CARE, STRANGER = (
    f"spiffe://interplay/channel/{each}" for each in ("web", "care", "somebody-else")
)
EGGS = GetItemRequest(item_id="eggs")
APART = [("grpc.use_local_subchannel_pool", 1)]


class Shop(NamedTuple):
    """A server that asks for certificates, and who signed them."""

    server: Running
    authority: Authority
    folder: Path
    key: str


@pytest.fixture
def shop(home: Path, tmp_path: Path) -> Iterator[Shop]:
    authority, folder, key = Authority(), tmp_path / "tls", new_key()
    authority.server().write(folder)
    (folder / "ca.crt").write_bytes(authority.pem)
    access = tmp_path / "access.yaml"
    write_access(
        access,
        caller("web", "frontend", channels=["web"], certificates=[WEB]),
        caller("care", "customer-care", certificates=[CARE]),
        caller("robot", "catalog", keys=[key]),
    )
    with Running(
        home,
        insecure=False,
        access=str(access),
        tls_certificate=str(folder / "tls.crt"),
        tls_key=str(folder / "tls.key"),
        client_ca=str(folder / "ca.crt"),
        connect=lambda address: grpc.secure_channel(
            address, authority.credentials(authority.client(WEB))
        ),
    ) as server:
        yield Shop(server, authority, folder, key)


def get_item(shop: Shop, client: Pair | None, *, key: str = "") -> str:
    """How a call over a connection of its own ends."""
    credentials = shop.authority.credentials(client)
    with grpc.secure_channel(shop.server.address, credentials, APART) as channel:
        stub = CatalogServiceStub(channel)
        return ending(stub.GetItem, EGGS, with_key(key) if key else ())


def shown_serial(shop: Shop) -> int:
    """The serial number of the certificate that the server shows to a new connection."""
    client = shop.authority.client(WEB)
    client.write(shop.folder / "client")
    context = ssl.create_default_context(cadata=shop.authority.pem.decode())
    context.load_cert_chain(shop.folder / "client/tls.crt", shop.folder / "client/tls.key")
    context.set_alpn_protocols(["h2"])
    port = shop.server.server.port
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        shown = connection.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number


def test_who_calls_is_whom_the_certificate_names(shop: Shop) -> None:
    authority, rogue = shop.authority, Authority()
    clients = {
        "web": authority.client(WEB),
        "care": authority.client(CARE),
        "stranger": authority.client(STRANGER),
        "nameless": authority.signed(x509.DNSName("web")),
        "two names": authority.signed(*map(x509.UniformResourceIdentifier, (WEB, CARE))),
        "rogue": rogue.client(WEB),
        "none": None,
    }
    codes = {name: get_item(shop, client) for name, client in clients.items()}
    assert codes == {
        "web": "OK",
        "care": "PERMISSION_DENIED",
        "stranger": "UNAUTHENTICATED",
        "nameless": "UNAUTHENTICATED",
        "two names": "UNAUTHENTICATED",
        "rogue": "UNAVAILABLE",  # by TLS: nothing of the call has been read
        "none": "UNAVAILABLE",
    }
    assert refused(shop.server, "unknown-credentials") == 1
    assert refused(shop.server, "no-credentials") == 2


def test_a_key_goes_before_the_certificate(shop: Shop) -> None:
    client = shop.authority.client(CARE)
    assert get_item(shop, client, key=shop.key) == "OK"
    assert get_item(shop, client, key=new_key()) == "UNAUTHENTICATED"
    assert get_item(shop, None, key=shop.key) == "UNAVAILABLE"


def test_plaintext_is_not_answered(shop: Shop) -> None:
    with grpc.insecure_channel(shop.server.address, APART) as channel:
        metadata = with_key(shop.key)
        assert ending(CatalogServiceStub(channel).GetItem, EGGS, metadata) == "UNAVAILABLE"


def test_new_certificates_are_taken_up_without_a_restart(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    first, renewed = shown_serial(shop), shop.authority.server()
    live = CatalogServiceStub(shop.server.channel)
    assert ending(live.GetItem, EGGS) == "OK"
    (shop.folder / "tls.crt").write_bytes(renewed.certificate)  # the key is still the old one
    shop.server.refresh()
    assert "tls.key is not the key of" in caplog.text
    assert shown_serial(shop) == first
    (shop.folder / "tls.key").write_bytes(renewed.key)
    shop.server.refresh()
    assert shown_serial(shop) == renewed.serial
    assert ending(live.GetItem, EGGS) == "OK"  # over the old connection
    assert renewed.key.decode().splitlines()[1] not in caplog.text


def test_another_authority_is_taken_up_and_the_old_one_let_go(shop: Shop) -> None:
    other = Authority()
    before, after = shop.authority.client(WEB), other.client(WEB)
    assert [get_item(shop, each) for each in (before, after)] == ["OK", "UNAVAILABLE"]
    (shop.folder / "ca.crt").write_bytes(shop.authority.pem + other.pem)
    shop.server.refresh()
    assert [get_item(shop, each) for each in (before, after)] == ["OK", "OK"]
    (shop.folder / "ca.crt").write_bytes(other.pem)
    shop.server.refresh()
    assert [get_item(shop, each) for each in (before, after)] == ["UNAVAILABLE", "OK"]


def test_files_that_are_no_certificates_are_refused(tmp_path: Path) -> None:
    pair = Authority().server()
    pair.write(tmp_path)
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    assert Certificates(certificate, key, None).refresh()
    for path, content, text in (
        (certificate, b"nothing", "holds no certificates in PEM"),
        (key, b"nothing", "is no private key in PEM"),
        (key, Authority().server().key, "is not the key of"),
    ):
        pair.write(tmp_path)
        path.write_bytes(content)
        with pytest.raises(ProtectionError, match=text):
            Certificates(certificate, key, None).refresh()
    with pytest.raises(ProtectionError, match="cannot be read: No such file"):
        Certificates(certificate, tmp_path / "none", None).refresh()
