"""A conversation with a server, for tests: what is said, and what comes back."""

from queue import SimpleQueue
from types import TracebackType
from typing import Any

import grpc
from interplay.v1.interaction_pb2 import Interaction
from interplay.v1.personalization_service_pb2 import ConverseRequest, ConverseResponse
from interplay.v1.personalization_service_pb2_grpc import PersonalizationServiceStub

from tests.running import asked

PATIENCE_S = 60.0  # nobody waits for ever for what is not said


class Talk:
    """One, which is given up at the end of the block."""

    def __init__(self, stub: PersonalizationServiceStub, timeout_s: float = PATIENCE_S) -> None:
        """Opens it."""
        self._said: SimpleQueue[ConverseRequest | None] = SimpleQueue()
        self.call: Any = stub.Converse(iter(self._said.get, None), timeout=timeout_s)

    def say(self, turn: int, *interactions: Interaction, **question: Any) -> None:
        """Asks where a question is given, and tells what has happened."""
        request = ConverseRequest(turn=turn, interactions=interactions)
        if question:
            request.question.CopyFrom(asked(**question))
        self._said.put(request)

    def hear(self) -> ConverseResponse:
        """What the server says next."""
        reply: ConverseResponse = next(self.call)
        return reply

    def seen(self) -> int:
        """Of how many interactions the next decision knows."""
        return self.hear().decision.freshness.interactions_seen

    def hang_up(self) -> None:
        """Has nothing more to say."""
        self._said.put(None)

    def end(self) -> grpc.StatusCode:
        """How it has ended, once nothing more is said."""
        try:
            for _ in self.call:
                pass
        except grpc.RpcError:
            pass
        code: grpc.StatusCode = self.call.code()
        return code

    def __enter__(self) -> "Talk":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.hang_up()
        self.call.cancel()
