"""Conversations: each message is answered with the next decision; news are told unasked.

One thing is said at a time. The next message is read when the answer to the last has been sent, and
of news only the newest are kept: a conversation whose client does not read takes no more room.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any

from interplay.v1 import interaction_pb2 as interaction_pb
from interplay.v1 import personalization_service_pb2 as personalization_pb

from features.interaction import Interaction, Violation, customer_key, shown
from features.vocabulary import Initiator
from serving.asking import hint_s, question_of
from serving.batching.admission import Gate
from serving.boundary import LONGEST_CALL_S
from serving.decider import Decider
from serving.door import Door
from serving.errors import (
    DeadlineError,
    InvalidError,
    QueueFullError,
    ServingError,
    TooManyError,
    UnavailableError,
    reason_of,
)
from serving.hearing import Ear, Hearing
from serving.memory import Memory
from serving.question import Question
from serving.replies import INITIATORS, decision_reply, time_message
from serving.settings import ServingSettings
from serving.wire import decided

MOST_UNSEEN = 100  # of its own interactions that may not be visible yet, which go along
IDLE = personalization_pb.Ending.REASON_IDLE
DRAINING = personalization_pb.Ending.REASON_DRAINING
Request = personalization_pb.ConverseRequest
Requests = AsyncIterator[personalization_pb.ConverseRequest]


@dataclass(frozen=True, slots=True)
class Parts:
    """What conversations are made of."""

    memory: Memory
    decider: Decider
    hearing: Hearing
    gate: Gate
    door: Callable[[], Door]


class Conversations:
    """All that are open in this process."""

    def __init__(self, parts: Parts, settings: ServingSettings, note: Callable[[float], None]):
        """Tells `note` how many are open."""
        self._parts, self._note = parts, note
        self._most, self._idle_s = settings.conversations, settings.idle_s
        self._open = 0
        self._ending = asyncio.Event()

    async def hold(self, requests: Requests, deadline: float) -> AsyncGenerator[bytes, None]:
        """What is said in one; raises ServingError."""
        if self._open >= self._most:
            raise TooManyError(f"{self._open} conversations are open: try again later")
        self._count(1)
        talk = Conversation(self._parts, requests, deadline)
        try:
            async for reply in talk.replies(self._ending, self._idle_s):
                yield reply
        finally:
            self._count(-1)
            await talk.close()

    def _count(self, more: int) -> None:
        self._open += more
        self._note(self._open)

    def end(self) -> None:
        """Each ends when it has said what it is about to."""
        self._ending.set()


class Conversation:
    """One of them."""

    def __init__(self, parts: Parts, requests: Requests, deadline: float) -> None:
        """`deadline` is in the loop's time."""
        self._parts, self._requests, self._deadline = parts, requests, deadline
        self._asked = personalization_pb.DecideInteractionRequest()
        self._unseen: tuple[Interaction, ...] = ()
        self._waiting: list[asyncio.Task[Any]] = []

    async def replies(self, ending: asyncio.Event, idle_s: float) -> AsyncGenerator[bytes, None]:
        """All that is said, until one side has nothing more to say."""
        first = await anext(self._requests, None)
        if first is None:
            return
        keys = self._open(first)
        async with self._parts.hearing.ear(keys) as ear:
            yield await self._answer(first, ear)
            reading, over = self._task(anext(self._requests, None)), self._task(ending.wait())
            news = self._task(ear.woken.wait())
            while True:
                done, _ = await asyncio.wait(
                    (reading, news, over), timeout=idle_s, return_when=asyncio.FIRST_COMPLETED
                )
                if reading in done:
                    if (request := reading.result()) is None:
                        return
                    yield await self._in_words(self._answer(request, ear), turn=request.turn)
                    reading = self._task(anext(self._requests, None))
                elif over in done:
                    yield _ended(DRAINING)
                    raise UnavailableError("the server ends: converse again, with another")
                elif news in done:
                    heard = ear.take()
                    yield await self._in_words(self._speak(heard), heard=heard)
                    news = self._task(ear.woken.wait())
                else:
                    yield _ended(IDLE)
                    return

    def _task(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.ensure_future(work)
        self._waiting = [each for each in self._waiting if not each.done()] + [task]
        return task

    async def close(self) -> None:
        """Waits for nothing more."""
        for each in self._waiting:
            each.cancel()
        await asyncio.gather(*self._waiting, return_exceptions=True)

    def _open(self, first: Request) -> list[str]:
        """Whom it is about, by customer keys; raises InvalidError."""
        question = self._question(_merged(first, self._asked), deadline=self._deadline)
        self._asked = _plain(first.question)
        ids = first.question.customer_id, first.question.anonymous_id
        device = customer_key(None, ids[1])
        return [question.customer_key, *([device] if all(ids) else [])]

    async def _answer(self, request: Request, ear: Ear) -> bytes:
        """Raises ServingError; then nothing of the message counts."""
        if request.HasField("question"):
            self._check_customer(request.question)
        asked = _merged(request, self._asked)
        until = self._until(asked)
        question = self._question(asked, deadline=until)
        ear.expect(question.interactions)
        reply = await self._decide(question, until)
        if request.HasField("question"):
            self._asked = _plain(request.question)
        return decided(personalization_pb.ConverseResponse(turn=request.turn), reply)

    async def _speak(self, heard: Sequence[Interaction]) -> bytes:
        until = self._until(self._asked)
        question = self._question(self._asked, deadline=until)
        reply = await self._decide(replace(question, recorded=tuple(heard)), until)
        return decided(personalization_pb.ConverseResponse(heard=_told(heard)), reply)

    async def _decide(self, question: Question, until: float) -> bytes:
        passage = self._parts.gate.passage(question.channel, until)
        if passage.refusal is not None:
            raise passage.refusal
        kept = self._parts.memory.erasures.kept
        recorded = [kept(each) for each in (*self._unseen, *question.recorded)]
        along = replace(question, recorded=tuple(each for each in recorded if each is not None))
        try:
            with passage:
                async with asyncio.timeout_at(until):
                    decision = await self._parts.decider.decide(along)
        except TimeoutError as error:
            raise DeadlineError("the answer would have come after the deadline") from error
        unseen = (*self._unseen, *question.interactions)[-MOST_UNSEEN:]
        self._unseen = unseen if decision.staleness_s else ()
        return decision_reply(decision, self._parts.memory.catalog)

    def _until(self, asked: personalization_pb.DecideInteractionRequest) -> float:
        now, hint = asyncio.get_running_loop().time(), hint_s(asked)
        longest = LONGEST_CALL_S if hint is None else min(hint, LONGEST_CALL_S)
        return min(self._deadline, now + longest)

    def _question(
        self, asked: personalization_pb.DecideInteractionRequest, *, deadline: float
    ) -> Question:
        catalog = self._parts.memory.catalog
        return question_of(asked, self._parts.door(), catalog=catalog, deadline=deadline)

    def _check_customer(self, asked: personalization_pb.DecideInteractionRequest) -> None:
        for name in ("customer_id", "anonymous_id"):
            given, of = getattr(asked, name), getattr(self._asked, name)
            if given != of:
                rule = f"must be that of the conversation, {shown(of)}: begin another one"
                raise InvalidError([Violation(f"question.{name}", shown(given), rule)])

    async def _in_words(
        self,
        saying: Coroutine[Any, Any, bytes],
        *,
        turn: int = 0,
        heard: Sequence[Interaction] = (),
    ) -> bytes:
        """What is said, or why it cannot be."""
        try:
            return await saying
        except ServingError as error:
            reply = personalization_pb.ConverseResponse(
                turn=turn, refusal=_refusal(error), heard=_told(heard)
            )
            return bytes(reply.SerializeToString())


def _merged(
    request: Request, asked: personalization_pb.DecideInteractionRequest
) -> personalization_pb.DecideInteractionRequest:
    """What a message asks: its own question or the last one, with all that it says has happened."""
    merged = personalization_pb.DecideInteractionRequest()
    merged.CopyFrom(request.question if request.HasField("question") else asked)
    merged.interactions.extend(request.interactions)
    return merged


def _plain(
    asked: personalization_pb.DecideInteractionRequest,
) -> personalization_pb.DecideInteractionRequest:
    """The question without what has happened."""
    plain = personalization_pb.DecideInteractionRequest()
    plain.CopyFrom(asked)
    plain.ClearField("interactions")
    return plain


def _told(heard: Sequence[Interaction]) -> list[interaction_pb.Interaction]:
    return [
        interaction_pb.Interaction(
            type=each.type,
            channel=each.channel,
            initiator=INITIATORS[Initiator(each.initiator)],
            item_id=each.item_id or "",
            event_time=time_message(each.event_time),
        )
        for each in heard
    ]


def _refusal(error: ServingError) -> personalization_pb.Refusal:
    refusal = personalization_pb.Refusal(reason=reason_of(error), message=str(error))
    if isinstance(error, InvalidError):
        refusal.violations.extend(
            personalization_pb.FieldViolation(field=each.field, value=each.value, rule=each.rule)
            for each in error.violations
        )
    if isinstance(error, QueueFullError):
        refusal.retry_delay.FromMilliseconds(error.retry_ms)
    return refusal


def _ended(reason: personalization_pb.Ending.Reason) -> bytes:
    ending = personalization_pb.Ending(reason=reason)
    return bytes(personalization_pb.ConverseResponse(ending=ending).SerializeToString())
