"""Health: what grpc.health.v1 says of each service. Whoever watches is let go at the end."""

import asyncio

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthServicer

OVERALL = ""
SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING
UNKNOWN = HealthCheckResponse.SERVICE_UNKNOWN


class Health(HealthServicer):
    """Unlike the library's, it ends a Watch: else one watcher holds up a shutdown to its limit."""

    def __init__(self) -> None:
        """Knows no service yet."""
        self._statuses: dict[str, HealthCheckResponse.ServingStatus] = {}
        self._changed = asyncio.Event()  # a new one after each change
        self._ended = False

    def set(self, service: str, *, serving: bool) -> None:
        """How a service does from now on; nothing is SERVING after the end."""
        self._statuses[service] = SERVING if serving and not self._ended else NOT_SERVING
        self._tell()

    def end(self) -> None:
        """Nothing is SERVING any more."""
        self._ended = True
        self._statuses = dict.fromkeys(self._statuses, NOT_SERVING)
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def Check(  # noqa: N802  the protocol's name
        self, request: HealthCheckRequest, context: grpc.aio.ServicerContext
    ) -> HealthCheckResponse:
        """How a service does."""
        status = self._statuses.get(request.service)
        if status is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such service")
        return HealthCheckResponse(status=status)

    async def Watch(  # noqa: N802  the protocol's name
        self, request: HealthCheckRequest, context: grpc.aio.ServicerContext
    ) -> None:
        """How a service does, and each change of it."""
        told = None
        while True:
            # All at one moment: while it is written, the end may come.
            changed, ended = self._changed, self._ended
            status = self._statuses.get(request.service, UNKNOWN)
            if status != told:
                await context.write(HealthCheckResponse(status=status))
                told = status
            if ended:
                return
            await changed.wait()
