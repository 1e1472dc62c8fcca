"""Listening: the gRPC server, how long one connection to it may last, and one for health alone."""

import grpc
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server

from serving.processes.health import Health
from serving.processes.port import StartError, taken
from serving.settings import ServingSettings

PING_S = 60  # a client that has vanished without a word is noticed after this, and PONG_S
PONG_S = 20
MOST_PENDING = 64
"""Calls that gRPC has and we have not looked at yet: beyond these, new ones end with CANCELLED, in
C, at a small part of what refusing them in Python would cost. More would be too old once their turn
comes: with twice as many, a server that is asked for too much answered hardly anyone in time."""
OFTEN_PING_S = 10  # of clients: more often is taken for abuse


def listen(
    settings: ServingSettings,
    port: int,
    credentials: grpc.ServerCredentials | None = None,
    *,
    shared: bool = False,
) -> tuple[grpc.aio.Server, int]:
    """A server that is not started yet, and its port; raises StartError.

    In plaintext without credentials.
    """
    server, address = grpc.aio.server(options=_options(settings, shared=shared)), settings.host
    try:
        if credentials is None:
            return server, server.add_insecure_port(f"{address}:{port}")
        return server, server.add_secure_port(f"{address}:{port}", credentials)
    except RuntimeError as error:
        raise taken(settings.host, port) from error


async def show_health(
    settings: ServingSettings, health: Health, *, shared: bool = False
) -> grpc.aio.Server | None:
    """Answers probes on a port of their own, which calls cannot flood; None where there is none.

    In plaintext whatever the calls are: Kubernetes' probes know no TLS. Raises StartError.
    """
    host, port = settings.host, settings.health_port
    if not port:
        return None
    server = grpc.aio.server(options=_options(settings, shared=shared))
    add_HealthServicer_to_server(health, server)
    try:
        server.add_insecure_port(f"{host}:{port}")
    except RuntimeError as error:
        text = f"cannot answer probes on {host}:{port}. Try another --health-port"
        raise StartError(text) from error
    await server.start()
    return server


def _options(settings: ServingSettings, *, shared: bool) -> list[tuple[str, int]]:
    """A request may have 4 MiB: gRPC's own limit, and more than the largest that is valid."""
    options = {
        # What one connection carries, one process answers: only new ones find new processes.
        # gRPC varies the age by a tenth, so that not all come back at once.
        "grpc.max_connection_age_ms": settings.connection_age_s * 1000,
        "grpc.max_connection_age_grace_ms": settings.grace_s * 1000,
        "grpc.keepalive_time_ms": PING_S * 1000,
        "grpc.keepalive_timeout_ms": PONG_S * 1000,
        "grpc.keepalive_permit_without_calls": 1,
        "grpc.http2.min_ping_interval_without_data_ms": OFTEN_PING_S * 1000,
        "grpc.server.max_pending_requests": MOST_PENDING,
        "grpc.server.max_pending_requests_hard_limit": MOST_PENDING + 1,  # none by chance before
        "grpc.so_reuseport": int(shared),
    }
    return [(name, round(value)) for name, value in options.items()]
