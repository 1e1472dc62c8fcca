"""The program keeps strangers out from its start; its log names no secret and no customer."""

import os
import re
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from click.testing import CliRunner
from interplay.v1.customer_service_pb2 import EraseCustomerRequest, GetCustomerRequest
from interplay.v1.customer_service_pb2_grpc import CustomerServiceStub
from interplay.v1.personalization_service_pb2 import RecordInteractionsRequest
from interplay.v1.personalization_service_pb2_grpc import PersonalizationServiceStub

from serving.__main__ import main
from serving.access.keys import hash_of, new_key
from serving.access.protection import ProtectionError, check_protection, is_loopback
from serving.pseudonyms import pseudonym, without_ids
from serving.settings import ServingSettings
from tests.access import caller, ending, with_key, write_access
from tests.authority import Authority
from tests.programs import program
from tests.running import asked, viewed

TLS = {"tls_certificate": "tls.crt", "tls_key": "tls.key"}


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, "no --access: anybody could call"),
        ({"access": "a.yaml"}, "no --tls-certificate: keys could be read on the way"),
        (TLS, "no --access: anybody could call"),
        ({"access": "a.yaml", "tls_key": "k"}, "--tls-certificate and --tls-key need each other"),
        ({"access": "a.yaml", "client_ca": "c"}, "--client-ca needs --tls-certificate"),
        (
            {"insecure": True, "host": "0.0.0.0"},
            "--host is 0.0.0.0: --insecure answers on loopback",
        ),
        ({"insecure": True, "host": "[::]"}, "--insecure answers on loopback only"),
        ({"insecure": True, "host": "shop.example"}, "--insecure answers on loopback only"),
        ({"insecure": True, "host": "10.0.0.1", **TLS}, "--insecure answers on loopback only"),
        ({"insecure": True, "host": "0.0.0.0", "trust_network": True}, "on loopback only"),
        ({"trust_network": True, "host": "0.0.0.0"}, "no --access: anybody could call"),
    ],
)
def test_who_would_let_strangers_in_does_not_start(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ProtectionError, match=re.escape(text)):
        check_protection(ServingSettings(**settings))


def test_who_says_how_strangers_are_kept_out_starts() -> None:
    everywhere = ServingSettings(host="0.0.0.0", access="a.yaml", **TLS)  # type: ignore[arg-type]
    check_protection(everywhere)
    check_protection(replace(everywhere, client_ca="ca.crt"))
    plain = replace(everywhere, tls_certificate="", tls_key="")
    check_protection(replace(plain, trust_network=True))
    for host in ("127.0.0.1", "localhost", "[::1]", "127.8.8.8"):
        assert is_loopback(host)
        check_protection(ServingSettings(host=host, insecure=True))


def test_the_program_says_at_once_what_is_missing(home: Path) -> None:
    run = CliRunner().invoke(main, ["--no-insecure", "--home", str(home)])
    assert run.exit_code == 2
    assert "no --access: anybody could call; give --access, --tls-certificate" in run.output


def test_processes_share_what_keeps_strangers_out_and_log_nobody(
    home: Path, tmp_path: Path
) -> None:
    authority, keys, customer = Authority(), [new_key() for _ in range(3)], "ada-lovelace-1815"
    authority.server().write(tmp_path)
    access = tmp_path / "access.yaml"
    late = {"sha256": hash_of(keys[1]), "expires": "2026-01-01"}
    declared = caller("web-shop", "frontend", keys=keys[:1], channels=["web"])
    declared["keys"].append(late)
    write_access(access, declared)
    access.write_text(access.read_text().replace("'2026-01-01'", "2026-01-01"))
    files = [f"--tls-certificate={tmp_path / 'tls.crt'}", f"--tls-key={tmp_path / 'tls.key'}"]
    sizes = ["--processes=2", "--max-batch=2", "--assumed-consent=personalization"]
    where = ["--no-insecure", f"--access={access}", f"--home={home}", "--port=0", *files]
    with program("serving", *where, *sizes) as running:
        address = running.line(r"SERVING on (\S+):")[1]
        codes = set()
        for _ in range(8):  # connections, which the processes share
            options = [("grpc.use_local_subchannel_pool", 1)]
            with grpc.secure_channel(address, authority.credentials(), options) as channel:
                decide = PersonalizationServiceStub(channel).DecideInteraction
                record = PersonalizationServiceStub(channel).RecordInteractions
                customers = CustomerServiceStub(channel)
                question = asked(customer_id=customer)
                app = RecordInteractionsRequest(interactions=[viewed(customer, "eggs")])
                erase = EraseCustomerRequest(customer_id=customer)
                codes.add(
                    (
                        *(ending(decide, question, with_key(each)) for each in keys),
                        ending(decide, question),
                        ending(record, app, with_key(keys[0])),
                        ending(customers.EraseCustomer, erase, with_key(keys[0])),
                        ending(
                            customers.GetCustomer,
                            GetCustomerRequest(customer_id=customer),
                            with_key(keys[0]),
                        ),
                    )
                )
        os.kill(running.process.pid, signal.SIGTERM)
        logged = running.rest()
    assert codes == {
        ("OK", *["UNAUTHENTICATED"] * 3, *["PERMISSION_DENIED"] * 3),
    }
    for reason in ("unknown", "expired", "no"):
        assert f": {reason}-credentials" in logged
    assert re.search(
        r"EraseCustomer is refused to web-shop at ipv4:127\.0\.0\.1:\d+: right", logged
    )
    assert re.search(r"RecordInteractions is refused to web-shop at \S+: channel", logged)
    secrets = [*keys, *map(hash_of, keys), customer, "lovelace"]
    assert [each for each in secrets if each in logged] == []


def test_a_log_says_pseudonyms_in_place_of_whom_a_request_names() -> None:
    along = viewed("", "eggs", anonymous_id="cookie-7", attributes={"email": "ada@example.com"})
    request = asked(customer_id="ada-1815", interactions=[along])
    text = "KeyError: 'ada-1815' of cookie-7, ada@example.com, who saw eggs"
    told = without_ids(text, request)
    assert told == (
        f"KeyError: '{pseudonym('ada-1815')}' of {pseudonym('cookie-7')}, "
        f"{pseudonym('ada@example.com')}, who saw eggs"
    )
    assert without_ids(text, None) == text
    assert without_ids(text, request) == told  # the same for as long as the process lives
