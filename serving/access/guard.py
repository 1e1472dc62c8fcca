"""The guard: every call passes it before anything of the call is looked at."""

import asyncio
import time
from collections.abc import Callable, Collection
from typing import Any

import grpc
from google.protobuf.descriptor import Descriptor

from features.interaction import shown
from serving.access.callers import ANYBODY, Caller, Callers, Stranger
from serving.access.channels import channels_in
from serving.access.refusals import Denial, Refusals
from serving.access.rights import METHODS
from serving.errors import ForbiddenError, RateError, ServingError, UnknownCallerError


class Guard:
    """Knows who may call what, for which channels, and how often."""

    def __init__(self, refusals: Refusals, callers: Callers | None = None) -> None:
        """Without callers, anybody may do everything. They may be exchanged at any time."""
        self.refusals = refusals
        self.callers = callers
        self.clock: Callable[[], float] = time.time  # by which keys and tokens expire

    def post(self, method: str, request: Descriptor | None = None) -> "Post":
        """The guard of one method; KeyError for one that takes no right that we know."""
        return Post(self, method, METHODS[method], request)


class Post:
    """The guard of one method."""

    __slots__ = ("_channels_of", "_guard", "_method", "_right")

    def __init__(self, guard: Guard, method: str, right: str, request: Descriptor | None) -> None:
        self._guard, self._method, self._right = guard, method, right
        self._channels_of = None if request is None else channels_in(request)

    def admit(self, context: grpc.aio.ServicerContext, *, counts: bool = True) -> Caller:
        """Who calls, and may; raises UnknownCallerError, ForbiddenError or RateError.

        What does not count is as often as it likes: a second look at a call that goes on.
        """
        callers = self._guard.callers
        if callers is None:
            return ANYBODY
        caller = callers.of(context, self._guard.clock())
        if caller is Stranger.UNCHECKED:
            many = RateError("too many tokens are new", wait_s=1.0)
            raise self._refused(Stranger.UNCHECKED, context, many)
        if isinstance(caller, Stranger):
            text = "who calls is not known: send a key or token that is valid"
            raise self._refused(caller, context, UnknownCallerError(text))
        if self._right not in caller.rights:
            error = ForbiddenError(f"{caller.name} may not call {self._method}")
            raise self._refused(Denial.RIGHT, context, error, caller)
        bucket = caller.bucket if counts else None
        if bucket is not None and (wait_s := bucket.take(time.monotonic())):
            late = RateError(f"{caller.name} calls too often", wait_s=wait_s)
            raise self._refused(Denial.RATE, context, late, caller)
        return caller

    def check(
        self,
        caller: Caller,
        request: Any,
        context: grpc.aio.ServicerContext,
        *,
        counts: bool = True,
    ) -> None:
        """Whether they may speak for its channels; raises ForbiddenError or RateError.

        An empty one is none: it is for the door to refuse.
        """
        callers, channels_of = self._guard.callers, self._channels_of
        if callers is None or channels_of is None:
            return
        channels, own = channels_of(request), caller.channels
        if own is not None:
            for channel in channels:
                if channel not in own and channel:
                    text = f"{caller.name} may not speak for the channel {shown(channel)}"
                    raise self._refused(Denial.CHANNEL, context, ForbiddenError(text), caller)
        if counts and callers.channel_buckets:
            self._take(callers, caller, channels, context)

    def _take(
        self,
        callers: Callers,
        caller: Caller,
        channels: Collection[str],
        context: grpc.aio.ServicerContext,
    ) -> None:
        for channel in channels:
            bucket = callers.channel_buckets.get(channel)
            if bucket is not None and (wait_s := bucket.take(time.monotonic())):
                late = RateError(f"the channel {channel} is asked too often", wait_s=wait_s)
                raise self._refused(Denial.RATE, context, late, caller)

    def _refused(
        self,
        reason: str,
        context: grpc.aio.ServicerContext,
        error: ServingError,
        caller: Caller | None = None,
    ) -> ServingError:
        """The error, once it is counted and logged."""
        self._guard.refusals.note(
            reason,
            self._method,
            caller="" if caller is None else caller.name,
            peer=context.peer(),
            now_s=time.monotonic(),
        )
        return error


async def pace(caller: Caller) -> None:
    """Waits for one more to be within the caller's rate."""
    if caller.bucket is not None:
        await asyncio.sleep(caller.bucket.reserve(time.monotonic()))
