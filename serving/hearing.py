"""Hearing: conversations are told at once what others record of their customer, in any process.

While there are conversations, and only then, this process listens to the log. It tells of all that
is recorded, also here; what a conversation has recorded itself is no news to it.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager

from features.interaction import ANONYMOUS, Interaction
from features.vocabulary import Initiator
from serving.memory import Memory

MOST_HEARD = 10  # of what is news to a conversation; older ones make room
MOST_OWN = 1000  # interactions whose echo is awaited


class Ear:
    """What one conversation has heard and not told yet; takes as much room however much that is."""

    def __init__(self) -> None:
        """Has heard nothing."""
        self.woken = asyncio.Event()
        self._heard: deque[Interaction] = deque(maxlen=MOST_HEARD)
        self._own: OrderedDict[tuple[str, str], None] = OrderedDict()

    def expect(self, interactions: Sequence[Interaction]) -> None:
        """These are our own."""
        for each in interactions:
            self._own[each.source, each.interaction_id] = None
        while len(self._own) > MOST_OWN:
            self._own.popitem(last=False)

    def tell(self, interaction: Interaction) -> None:
        """Somebody has recorded it. That the company has shown an offer is no news."""
        shown = interaction.initiator == Initiator.COMPANY and interaction.decision_id is not None
        if (interaction.source, interaction.interaction_id) in self._own or shown:
            return
        self._heard.append(interaction)
        self.woken.set()

    def take(self) -> tuple[Interaction, ...]:
        """What is news, oldest first; from now on it is none."""
        heard = tuple(self._heard)
        self._heard.clear()
        self.woken.clear()
        return heard


class Hearing:
    """Listens to the log for all conversations of a process."""

    def __init__(self, memory: Memory) -> None:
        """Does not listen yet."""
        self._memory = memory
        self._ears: dict[str, list[Ear]] = {}  # by customer key
        self._end: Callable[[], None] | None = None
        self._changing = asyncio.Lock()
        self._resting: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def ear(self, customer_keys: Collection[str]) -> AsyncIterator[Ear]:
        """One that hears of a customer from now on; raises UnavailableError."""
        ear = Ear()
        for key in customer_keys:
            self._ears.setdefault(key, []).append(ear)
        try:
            await self._listen()
            yield ear
        finally:
            for key in customer_keys:
                self._ears[key].remove(ear)
                if not self._ears[key]:
                    del self._ears[key]
            if not self._ears:
                task = asyncio.create_task(self._rest())
                self._resting.add(task)
                task.add_done_callback(self._resting.discard)

    async def _listen(self) -> None:
        async with self._changing:
            if self._end is None:
                loop = asyncio.get_running_loop()

                def heard(interactions: Sequence[Interaction] | None) -> None:
                    loop.call_soon_threadsafe(self._tell, interactions)

                self._end = await self._memory.listen(self._wanted, heard)

    async def _rest(self) -> None:
        """Listens no more if nobody does."""
        async with self._changing:
            if not self._ears and self._end is not None:
                end, self._end = self._end, None
                await asyncio.to_thread(end)

    def _wanted(self, customer_id: str | None, anonymous_id: str | None) -> bool:
        """On the log's thread."""
        ears = self._ears
        return customer_id in ears or (bool(anonymous_id) and f"{ANONYMOUS}{anonymous_id}" in ears)

    def _tell(self, interactions: Sequence[Interaction] | None) -> None:
        if interactions is None:
            for each in self._ears.values():
                for ear in each:
                    ear.woken.set()
            return
        for interaction in interactions:
            device = f"{ANONYMOUS}{interaction.anonymous_id}"
            named = {
                id(ear): ear
                for key in (interaction.customer_id or "", device)
                for ear in self._ears.get(key, ())
            }
            for ear in named.values():
                ear.tell(interaction)

    async def close(self) -> None:
        """When no conversation is open any more."""
        await asyncio.gather(*self._resting)
        await self._rest()
