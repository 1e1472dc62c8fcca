"""Ways of contacting simulated customers: by the two-sided policy, and greedily by probability.

The model is asked as serving asks it: for the channel into which the policy says a contact leads.

B customers that might be contacted today   K ranked   T predicted types   V items of the model
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.parallel_worlds import Course
from features.attention import MAX_ATTENTION_RECORDS, showings, spending
from features.policy.arbitration import Offers, arbitrate
from features.policy.worth import expected
from features.record import TICKS_PER_SECOND, merge
from features.simulation.contacts import Choose, Contacts, contactable, moments
from features.simulation.ledger import Channel, vocabulary_names
from features.simulation.world import SECOND, Visits, World
from serving.model.scorer import Scorer, Scores
from serving.policy.contact import Situation, withheld
from serving.policy.ranking import Best, best
from serving.policy.terms import Terms

CHANNELS = vocabulary_names(Channel)
AT_ONCE = 128  # customers, when the model is asked


@dataclass(frozen=True, slots=True)
class Adviser:
    """What the ways ask: the model as it is served, and the terms of the policy."""

    scorer: Scorer
    terms: Terms

    def greedy(self, course: Course) -> Choose:
        """Everyone who may be contacted, with the most probable item: silence does not compete."""
        even_T = np.ones_like(self.terms.weight_T)

        def choose(world: World, day: int, midnight: int) -> Contacts:
            visits = moments(world, np.flatnonzero(contactable(world, day)), midnight)
            found = self._best(course, visits, even_T, most=1)
            return Contacts(visits, _items(world, found.item_ids))

        return choose

    def two_sided(self, course: Course) -> Choose:
        """As the policy has it: whoever is not to be left alone, where a contact is worth it."""
        attention, random = _Attention(self.terms, course), np.random.default_rng(course.day)

        def choose(world: World, day: int, midnight: int) -> Contacts:
            visits = moments(world, np.flatnonzero(contactable(world, day)), midnight)
            visits = visits[attention.allows(visits)]
            found = self._best(course, visits, self.terms.weight_T, most=self.terms.policy.pool)
            offers = self._arbitrated(found, visits, random)
            contacted = visits[np.array(offers.count_B, bool)]
            attention.spend(contacted, day)
            chosen = [found.item_ids[at] for at in offers.at_M.tolist()]
            return Contacts(contacted, _items(world, chosen))

        return choose

    def _arbitrated(self, found: Best, visits: Visits, random: np.random.Generator) -> Offers:
        policy = self.terms.policy
        costs = [policy.attention.cost(each, unasked=True) for each in _channels(visits)]
        return arbitrate(
            expected(found.joint_NT, found.price_N, self.terms.worths),
            found.joint_NT.sum(axis=1),
            found.count_B,
            policy=policy,
            cost_B=np.array(costs),
            k_B=[1] * len(visits),
            random=random,
        )

    def _best(self, course: Course, visits: Visits, weight_T: np.ndarray, *, most: int) -> Best:
        """The model's best items for each of the customers."""
        names, catalog = self.scorer.items.item_ids, course.world.catalog
        return best(
            self._scores(course, visits, weight_T, k=most),
            open_BK=np.ones((len(visits), most), bool),
            most_B=[most] * len(visits),
            item_ids=lambda places: [names[each] for each in places],
            price_V=catalog.price_M[_items(course.world, names)],
        )

    def _scores(self, course: Course, visits: Visits, weight_T: np.ndarray, *, k: int) -> Scores:
        """Those of like history together."""
        histories = [course.history_N[each] for each in visits.who.tolist()]
        order = np.argsort([len(each) for each in histories], kind="stable")
        starts = range(0, max(len(order), 1), AT_ONCE)
        runs = [order[start : start + AT_ONCE] for start in starts]
        parts = [self._run(histories, visits, each, weight_T, k) for each in runs]
        back = np.argsort(order)
        return Scores(
            np.concatenate([each.intent_BU for each in parts])[back],
            np.concatenate([each.item_BK for each in parts])[back],
            np.concatenate([each.joint_BKT for each in parts])[back],
        )

    def _run(
        self,
        histories: Sequence[bytes],
        visits: Visits,
        at: np.ndarray,
        weight_T: np.ndarray,
        k: int,
    ) -> Scores:
        some, scorer, landing = visits[at], self.scorer, self.terms.contact.landing
        return scorer.score(
            [histories[each] for each in at.tolist()],
            [scorer.channel_code(landing.get(each, each)) for each in _channels(some)],
            ticks(some),
            eligible_EV=np.ones((1, scorer.contract.item_count), bool),
            mask_B=np.zeros(len(some), np.int64),
            weight_BT=np.repeat(weight_T[None], len(some), axis=0),
            k=k,
        )


class _Attention:
    """The ledgers of the customers' attention."""

    def __init__(self, terms: Terms, course: Course) -> None:
        self._terms, self._course = terms.contact, course
        self._ledger_N = [b""] * len(course.history_N)

    def allows(self, visits: Visits) -> np.ndarray:
        """Who is not to be left alone (B)."""
        every = zip(visits.who.tolist(), _channels(visits), ticks(visits).tolist(), strict=True)
        return np.array([not self._withheld(*each) for each in every], bool)

    def _withheld(self, who: int, channel: str, tick: int) -> str:
        situation = Situation(
            customer_key=str(who),
            channel=channel,
            unasked=True,
            zone=None,
            history=self._course.history_N[who],
            ledger=self._ledger_N[who],
            whole=True,
        )
        return withheld(self._terms, situation, tick)

    def spend(self, visits: Visits, day: int) -> None:
        """Of those who are contacted; every message is seen."""
        codes, budget = self._terms.channel_codes, self._terms.rules.budget
        every = zip(visits.who.tolist(), _channels(visits), ticks(visits).tolist(), strict=True)
        for who, channel, tick in every:
            held, decision_id = self._ledger_N[who], f"{who}-{day}"
            cost = budget.cost(channel, unasked=True)
            debit = spending(held, decision_id, cost=cost, channel=codes[channel], now_tick=tick)
            seen = showings(debit, [decision_id])
            self._ledger_N[who] = merge(held, debit + seen, max_records=MAX_ATTENTION_RECORDS)


def ticks(visits: Visits) -> np.ndarray:
    """When, in ticks of features.record."""
    when: np.ndarray = visits.time // SECOND * TICKS_PER_SECOND
    return when


def _channels(visits: Visits) -> list[str]:
    return [CHANNELS[each] for each in visits.channel.tolist()]


def _items(world: World, item_ids: Sequence[str]) -> np.ndarray:
    """The world's numbers of items."""
    names = pa.array(item_ids, pa.string())
    numbers: np.ndarray = pc.index_in(names, world.catalog.item_ids).to_numpy()
    return numbers.astype(np.int64)
