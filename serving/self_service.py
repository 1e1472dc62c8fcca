"""Self-service: what is held and inferred of customers, and what they change of it themselves."""

from collections.abc import Iterable
from datetime import UTC, datetime

from interplay.v1 import customer_service_pb2 as customer_pb

from features.held import held_interactions
from features.online.store import Known
from features.privacy.consent import consent_of, consent_records
from features.privacy.preferences import Preferences, topic_count, topic_key
from features.record import latest
from features.topic import Topic
from serving.asking import MAX_K
from serving.batching.batcher import BatchError
from serving.decider import Decider
from serving.door import Door
from serving.errors import ServingError, UnavailableError
from serving.items.topics import named
from serving.memory import Memory
from serving.preferences import (
    MAX_TOPICS,
    inference_message,
    pause_message,
    preference_messages,
    statements_of,
    too_many,
)
from serving.question import Question
from serving.replies import customer_reply


class SelfService:
    """Answers for the customers themselves. Raises UnavailableError."""

    def __init__(self, memory: Memory, decider: Decider) -> None:
        """Reads and writes with the one, infers with the other."""
        self._memory, self._decider = memory, decider

    async def show(self, key: str, *, deadline: float) -> customer_pb.GetCustomerResponse:
        """What is held on-line, and what the model makes of it."""
        known, catalog = await self._known(key, deadline), self._memory.catalog
        held = held_interactions(known.history, self._memory.vocabulary, catalog.by_hash)
        consent = consent_of(known.consent, self._memory.vocabulary)
        inferred = await self._infer(key, held[0].channel, deadline) if held else None
        reply = customer_reply(held, consent)
        reply.MergeFrom(
            customer_pb.GetCustomerResponse(
                preferences=preference_messages(self._named(consent.preferences)),
                pause_end_time=pause_message(consent.preferences, datetime.now(UTC)),
                interaction_count=len(held),
                inference=inferred,
            )
        )
        return reply

    async def _known(self, key: str, deadline: float) -> Known:
        try:
            return (await self._memory.read(key, deadline=deadline)).known
        except BatchError as failure:
            raise UnavailableError("the features cannot be read now: try again") from failure

    async def _infer(self, key: str, channel: str, deadline: float) -> customer_pb.Inference | None:
        """None where the model makes nothing of the customer."""
        question = Question(
            customer_key=key, channel=channel, k=MAX_K, only_looks=True, deadline=deadline
        )
        try:
            decision = await self._decider.decide(question)
        except ServingError:  # what is held is shown all the same
            return None
        return inference_message(decision, self._memory.catalog)

    async def set(
        self, request: customer_pb.SetPreferencesRequest, key: str, door: Door, *, deadline: float
    ) -> customer_pb.SetPreferencesResponse:
        """Durable first, then visible, then acknowledged; also raises InvalidError."""
        said, vocabulary = statements_of(request, door), self._memory.vocabulary
        held = (await self._known(key, deadline)).consent
        arriving = (consent_records(each, vocabulary) for each in said.values())
        records = latest(b"".join([held, *arriving]))
        if (count := topic_count(records)) > MAX_TOPICS:
            door.note([too_many(count)])
            door.close()
        await self._memory.log(tuple(said.values()), deadline=deadline)
        preferences = consent_of(records, vocabulary).preferences
        return customer_pb.SetPreferencesResponse(
            pending=not await self._memory.apply(),
            preferences=preference_messages(self._named(preferences, said)),
            pause_end_time=pause_message(preferences, door.now),
        )

    def _named(self, preferences: Preferences, said: Iterable[Topic] = ()) -> list[Topic]:
        """What is muted, by names that the catalog knows, or that were just said."""
        if not preferences.muted:
            return []
        catalog, vocabulary = self._memory.catalog, self._memory.vocabulary
        keyed = self._decider.topics.of(catalog) | {topic_key(each): each for each in said}
        return named(preferences, catalog, keyed, vocabulary)
