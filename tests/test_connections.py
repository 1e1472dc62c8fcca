"""The load generator's own gRPC and HTTP, before servers that make demands."""

import socket
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmarks.load import Load, LoadError, run
from tests.echo_server import serving


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"grpc.max_concurrent_streams": 2}, 10),
        ({"grpc.max_connection_age_ms": 50, "grpc.max_connection_age_grace_ms": 30_000}, 10),
        ({}, 60_000),  # near what a stream may send unasked; many times what a connection may
    ],
    ids=["few at once", "connections age", "large requests"],
)
def test_calls_bear_what_a_server_demands(options: dict[str, int], size: int) -> None:
    with serving(**options) as server:
        load = Load(
            target=server.target,
            method="/test.Test/Echo",
            requests=[bytes(size)],
            callers=16,
            seconds=0.5,
            connections=2,
            warmup_s=0.0,
            deadline_ms=30_000,
        )
        result = run(load)
    assert result.counts() == {"OK": len(server.seen)}
    assert set(server.seen) == {bytes(size)}


def test_a_request_that_would_wait_for_room_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with serving() as server:
        load = Load(
            target=server.target,
            method="/test.Test/Echo",
            requests=[bytes(70_000)],
            callers=1,
            calls=1,
            warmup_s=0.0,
        )
        with pytest.raises(LoadError, match="see its message"):
            run(load)
    assert "a request has 70000 bytes; 65530 can be sent at once" in capfd.readouterr().err


def test_calls_of_a_server_that_hangs_up_are_unavailable() -> None:
    def hang_up() -> None:
        with suppress(OSError):  # the end of the test
            while True:
                connection, _ = listener.accept()
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=hang_up)
        thread.start()
        load = Load(
            target=f"127.0.0.1:{listener.getsockname()[1]}",
            method="/test.Test/Echo",
            requests=[b"x"],
            callers=3,
            calls=12,
            warmup_s=0.0,
            deadline_ms=30_000,
        )
        result = run(load)
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    assert result.counts() == {"UNAVAILABLE": 12}


class Impatient(BaseHTTPRequestHandler):
    """Answers, and hangs up on whoever says nothing for a while."""

    protocol_version = "HTTP/1.1"
    timeout = 0.05

    def do_POST(self) -> None:
        """Echoes."""
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""


def test_an_http_server_may_close_what_was_idle() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Impatient) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        load = Load(
            target=f"http://127.0.0.1:{server.server_port}",
            method="/",
            requests=[b"{}"],
            rate=5,
            arrivals="constant",
            seconds=1.0,
            warmup_s=0.0,
            deadline_ms=30_000,
        )
        result = run(load)
        server.shutdown()
        thread.join()
    assert result.counts() == {"OK": 5}
