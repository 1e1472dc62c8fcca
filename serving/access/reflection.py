"""Reflection, for whoever has the right to it: what the API is, for tools such as grpcurl."""

from collections.abc import AsyncIterable, Sequence

import grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc
from grpc_reflection.v1alpha.reflection_pb2 import (
    ServerReflectionRequest,
    ServerReflectionResponse,
)

from serving.access.guard import Guard
from serving.errors import ServingError, code_of, trailers_of

METHOD = f"{reflection.SERVICE_NAME}/ServerReflectionInfo"


class GuardedReflection(reflection.aio.ReflectionServicer):
    """The library's, behind the guard."""

    def __init__(self, names: Sequence[str], guard: Guard) -> None:
        """Tells of these services, and of itself."""
        super().__init__([*names, reflection.SERVICE_NAME])
        self._post = guard.post(METHOD)

    async def ServerReflectionInfo(  # noqa: N802  the protocol's name
        self,
        request_iterator: AsyncIterable[ServerReflectionRequest],
        context: grpc.aio.ServicerContext,
    ) -> AsyncIterable[ServerReflectionResponse]:
        """Answers each request."""
        try:
            self._post.admit(context)
        except ServingError as error:
            await context.abort(code_of(error), str(error), trailers_of(error))
        async for each in super().ServerReflectionInfo(request_iterator, context):
            yield each


def add_reflection(names: Sequence[str], guard: Guard, server: grpc.aio.Server) -> None:
    """Adds it to a server of these services."""
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
        GuardedReflection(names, guard), server
    )
