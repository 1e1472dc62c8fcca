"""The boundary of a method: decodes, sets the deadline, and turns what goes wrong into a status.

Requests are decoded here and not by gRPC, which would answer undecodable bytes with UNKNOWN and
the name of a class of ours.
"""

import asyncio
import logging
import math
import traceback
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractContextManager, aclosing, nullcontext
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from features.interaction import Violation
from serving.access.guard import Post, pace
from serving.batching.admission import Gate
from serving.calls import Call, Calls
from serving.errors import (
    DeadlineError,
    InvalidError,
    ServingError,
    code_of,
    trailers_of,
)
from serving.pseudonyms import without_ids

LONGEST_CALL_S = 30.0  # for callers that set no deadline: no call hangs

logger = logging.getLogger(__name__)
Method = Callable[[Any, float], Awaitable[Message | bytes]]
ConversingMethod = Callable[[AsyncGenerator[Any, None], float], AsyncGenerator[bytes, None]]
StreamingMethod = Callable[[Any, float], AsyncGenerator[Message, None]]
Work = Callable[[], Awaitable[bytes]]


def handler_of(
    declared: MethodDescriptor, method: Any, calls: Calls, gate: Gate
) -> grpc.RpcMethodHandler:
    """What gRPC calls for a method that takes a request and its deadline, in the loop's time.

    Requests that name a channel pass the gate: whom it refuses costs as little as can be. A method
    that takes no right is a KeyError.
    """
    name = f"{declared.containing_service.full_name}/{declared.name}"
    post = calls.guard.post(name, declared.input_type)
    if declared.client_streaming:
        return grpc.stream_stream_rpc_method_handler(_conversing(declared, method, calls, post))
    if declared.server_streaming:
        return grpc.unary_stream_rpc_method_handler(_streaming(declared, method, calls, post))
    return grpc.unary_unary_rpc_method_handler(_unary(declared, method, calls, post, gate))


def _unary(
    declared: MethodDescriptor, method: Method, calls: Calls, post: Post, gate: Gate
) -> Callable[[bytes, grpc.aio.ServicerContext], Awaitable[bytes]]:
    request_type: Any = GetMessageClass(declared.input_type)
    has_channel = "channel" in declared.input_type.fields_by_name

    async def answer(data: bytes, context: grpc.aio.ServicerContext) -> bytes:
        with calls.begin(declared, context) as call:
            deadline = _deadline(context)
            passage: AbstractContextManager[None] = nullcontext()
            try:
                call.caller = caller = post.admit(context)
                call.request = request = _decoded(request_type, data)
                post.check(caller, request, context)
            except ServingError as error:
                return _refused(context, call, error)
            if has_channel:
                call.channel = request.channel
                passage = gated = gate.passage(request.channel, deadline)
                if gated.refusal is not None:
                    return _refused(context, call, gated.refusal)

            async def work() -> bytes:
                with passage:
                    async with asyncio.timeout_at(deadline):
                        reply = await method(request, deadline)
                    return reply if isinstance(reply, bytes) else reply.SerializeToString()

            return await _guarded(declared, context, work, call)

    return answer


def _streaming(
    declared: MethodDescriptor, method: StreamingMethod, calls: Calls, post: Post
) -> Callable[[bytes, grpc.aio.ServicerContext], Awaitable[None]]:
    request_type = GetMessageClass(declared.input_type)

    async def answer(data: bytes, context: grpc.aio.ServicerContext) -> None:
        async def work() -> bytes:
            call.caller = caller = post.admit(context)
            call.request = request = _decoded(request_type, data)
            post.check(caller, request, context)
            deadline = _deadline(context)
            async with asyncio.timeout_at(deadline), aclosing(method(request, deadline)) as replies:
                async for each in replies:
                    await context.write(each.SerializeToString())
            return b""

        with calls.begin(declared, context) as call:
            await _guarded(declared, context, work, call)

    return answer


def _conversing(
    declared: MethodDescriptor, method: ConversingMethod, calls: Calls, post: Post
) -> Callable[[object, grpc.aio.ServicerContext], Awaitable[None]]:
    """Only its deadline, if it has one, limits how long it lasts, and how long the caller may.

    Whoever says more than their rate allows is listened to more slowly.
    """
    request_type = GetMessageClass(declared.input_type)

    async def converse(_: object, context: grpc.aio.ServicerContext) -> None:
        async def work() -> bytes:
            call.caller = post.admit(context)
            remaining, now = context.time_remaining(), asyncio.get_running_loop().time()
            deadline = math.inf if remaining is None else now + remaining
            async with (
                asyncio.timeout_at(None if remaining is None else deadline),
                aclosing(_received(request_type, context, call, post)) as requests,
                aclosing(method(requests, deadline)) as replies,
            ):
                async for each in replies:
                    post.admit(context, counts=False)
                    await _sent(each, context)
            return b""

        with calls.begin(declared, context) as call:
            await _guarded(declared, context, work, call)

    return converse


async def _sent(reply: bytes, context: grpc.aio.ServicerContext) -> None:
    """Waits for room: whoever reads slowly is waited for, whoever does not is let go."""
    try:
        async with asyncio.timeout(LONGEST_CALL_S):
            await context.write(reply)
    except TimeoutError as error:
        raise DeadlineError(f"no answer was read for {LONGEST_CALL_S:g} s") from error


async def _received(
    request_type: type[Message], context: grpc.aio.ServicerContext, call: Call, post: Post
) -> AsyncGenerator[Any, None]:
    while (data := await context.read()) is not grpc.aio.EOF:
        caller, first = post.admit(context, counts=False), call.request is None
        if not first:  # which came with the call
            await pace(caller)
        call.request = request = _decoded(request_type, data)
        post.check(caller, request, context, counts=first)
        yield request


async def _guarded(
    declared: MethodDescriptor, context: grpc.aio.ServicerContext, work: Work, call: Call
) -> bytes:
    try:
        reply = await work()
        call.code = grpc.StatusCode.OK
        return reply
    except TimeoutError:
        late = DeadlineError("the answer would have come after the deadline")
        return _refused(context, call, late)
    except ServingError as error:
        return _refused(context, call, error)
    except Exception:  # the RPC boundary: nothing internal leaves
        error_id, trace = uuid.uuid4().hex, without_ids(traceback.format_exc(), call.request)
        logger.error("%s failed; error id %s\n%s", declared.full_name, error_id, trace)
        text = f"internal error; the server's log tells more under the id {error_id}"
        return _ended(context, call, grpc.StatusCode.INTERNAL, text)


def _refused(context: grpc.aio.ServicerContext, call: Call, error: ServingError) -> bytes:
    """Not by context.abort(), which raises: a server that is asked for too much refuses a lot."""
    context.set_trailing_metadata(trailers_of(error))
    return _ended(context, call, code_of(error), str(error))


def _ended(
    context: grpc.aio.ServicerContext, call: Call, code: grpc.StatusCode, text: str
) -> bytes:
    call.code = code
    context.set_code(code)
    context.set_details(text)
    return b""


def _decoded(request_type: type[Message], data: bytes) -> Any:
    try:
        return request_type.FromString(data)
    except DecodeError:
        name = request_type.DESCRIPTOR.full_name
        found = Violation("request", f"{len(data)} bytes", f"must be a serialized {name}")
        raise InvalidError([found]) from None


def _deadline(context: grpc.aio.ServicerContext) -> float:
    remaining = context.time_remaining()
    limit = LONGEST_CALL_S if remaining is None else min(remaining, LONGEST_CALL_S)
    return asyncio.get_running_loop().time() + limit
