"""Customers' own affairs: erasure and export, as the event loop sees them.

Looking a customer up in the log and the history takes long: it has a thread and a log of its own.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice
from typing import TypeVar

from features.decisions.contract import Stream, open_stream
from features.decisions.decision import LoggedDecision
from features.decisions.finding import find_decision
from features.decisions.outcomes import vocabulary_worths
from features.held import held_interactions
from features.log.contract import Log, LogError, open_log
from features.privacy.consent import consent_of
from features.privacy.customer_decisions import Kept, read_decisions_of
from features.privacy.customer_history import CustomerHistory, read_customer
from features.privacy.erasure import NO_ERASURES, Erasures
from features.privacy.export import Online, export_lines
from features.privacy.forgetting import NEXT_TRAINING, ONLINE, SWEEP, Receipt, erasure_tick
from features.record import moment
from features.settings import FeatureSettings, Home
from serving.errors import UnavailableError
from serving.memory import Memory

T = TypeVar("T")
LINES_AT_ONCE = 50  # of an export: a decision with all of its candidates is a long one
TRY_AGAIN = "what is held cannot be looked up now: try again"


class Customers:
    """Erases and exports. Raises UnavailableError."""

    def __init__(self, memory: Memory, settings: FeatureSettings) -> None:
        """Opens a log of its own when it is first needed."""
        self._memory = memory
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, "customers")
        self._log: Log | None = None
        self._decisions: Stream | None = None

    async def erase(self, customer_key: str) -> Receipt:
        """First whoever is named, then the devices that are found to belong to them."""
        known = await self._memory.read_known(customer_key)
        erased = erasure_tick(datetime.now(UTC), known.history)
        receipt = Receipt(moment(erased), remaining=[SWEEP, NEXT_TRAINING])
        await self._erase([customer_key], erased, receipt)
        devices = (await self.look_up(customer_key)).keys[1:]
        await self._erase(devices, erased, receipt)
        receipt.device_count = len(devices)
        return receipt

    async def _erase(self, customer_keys: list[str], erased: int, receipt: Receipt) -> None:
        """The tombstones first: nothing may come back once the online store is empty."""
        await self._memory.note_erasure(customer_keys, erased)
        receipt.removed[ONLINE] += await self._memory.erase(customer_keys, erased)

    async def export(self, customer_key: str) -> AsyncGenerator[str, None]:
        """The lines of features.privacy.export, read as they are taken."""
        home, now = Home(self._settings.home), datetime.now(UTC)
        erasures = await self._in_thread(lambda: Erasures(self._opened().erasures()))
        history = await self.look_up(customer_key, erasures)
        vocabulary, items = self._memory.vocabulary, self._memory.catalog.by_hash
        known = await self._memory.read_known(customer_key)
        held = tuple(held_interactions(known.history, vocabulary, items))
        online = Online(held, consent_of(known.consent, vocabulary), known.attention)
        kept = await self._in_thread(lambda: Kept(home, self._opened_decisions(), erasures))
        decisions = read_decisions_of(history, kept, vocabulary_worths(vocabulary), now=now)
        lines = export_lines(history, online, decisions, now=now)
        while some := await self._in_thread(lambda: list(islice(lines, LINES_AT_ONCE))):
            for each in some:
                yield each

    async def decision(self, decision_id: str) -> LoggedDecision | None:
        """A logged decision; None where there is none of this id."""
        home = Home(self._settings.home)
        return await self._in_thread(
            lambda: find_decision(home, self._opened_decisions(), decision_id)
        )

    def _opened_decisions(self) -> Stream:
        if self._decisions is None:
            self._decisions = open_stream(self._settings)
        return self._decisions

    async def look_up(self, customer_key: str, erasures: Erasures = NO_ERASURES) -> CustomerHistory:
        """All that log and history hold of a customer, but for what the erasures cover."""
        root = Home(self._settings.home).history
        return await self._in_thread(
            lambda: read_customer(self._opened(), root, customer_key, erasures=erasures)
        )

    def _opened(self) -> Log:
        if self._log is None:
            self._log = open_log(self._settings)
        return self._log

    async def _in_thread(self, function: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function)
        except (LogError, OSError) as error:
            raise UnavailableError(TRY_AGAIN) from error

    async def close(self) -> None:
        """Finishes what it does, then closes the log."""
        self._thread.shutdown()
        if self._log is not None:
            self._log.close()
        if self._decisions is not None:
            self._decisions.close()
