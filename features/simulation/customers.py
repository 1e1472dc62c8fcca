"""The simulated customers: what they are like, and the state that each is in.

N customers   K taste clusters   G groups
"""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from features.simulation.catalog import CATEGORIES_A_DEPARTMENT, CLUSTERS, cluster_of, group_of

INTENTS = ("inactive", "browse", "compare", "buy", "after-sales")
INACTIVE, BROWSE, COMPARE, BUY, AFTER_SALES = range(len(INTENTS))
ARMS = ("none", "rare", "often", "daily")
MESSAGES_A_DAY = np.array([0.0, 1 / 14, 2 / 7, 1.0])
ARM_SHARES = np.array([0.2, 0.4, 0.3, 0.1])

VISIT_FACTOR = np.array([0.45, 1.4, 2.6, 3.2, 0.8])  # how much an intent makes one come back
CALMING = np.array([0.0, 0.25, 0.12, 0.15, 0.5])  # chance a day that it is given up for good
FATIGUE_KEPT = 0.89  # overnight: it halves in six days
GRIEF_KEPT = 0.9  # overnight: bad experience halves in less than a week


@dataclass(slots=True)
class Customers:
    """Everyone, one row each; the second block changes as days go by."""

    main_N: np.ndarray  # taste cluster
    second_N: np.ndarray
    brand_N: np.ndarray  # which of two brands they prefer, 0 or 1
    activity_N: np.ndarray  # visits a day when browsing
    arm_N: np.ndarray
    joined_N: np.ndarray  # day
    hour_N: np.ndarray  # of the day, when they like to come
    weekend_N: np.ndarray  # how much more they come at weekends
    channels_N3: np.ndarray  # cumulative shares of web, app, store

    intent_N: np.ndarray
    focus_N: np.ndarray  # the group that they are after; meaningless while inactive
    last_N: np.ndarray  # the item last seen; -1 for none
    liked_N: np.ndarray  # the item they would buy; -1 for none
    cart_N: np.ndarray  # the item in the cart; -1 for none
    fatigue_N: np.ndarray  # 0..1
    grief_N: np.ndarray  # 0 and up: bad experience
    opted_out_N: np.ndarray
    changes: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)

    def set_intent(self, who: np.ndarray, times: np.ndarray, intents: np.ndarray | int) -> None:
        """Moves customers (each once) to intents, and notes those that changed."""
        wanted = np.full(len(who), intents)
        moved = self.intent_N[who] != wanted
        self.intent_N[who] = wanted
        if moved.any():
            self.changes.append((who[moved], times[moved], wanted[moved]))

    def start_journey(self, who: np.ndarray, random: np.random.Generator) -> None:
        """Customers begin to look for something after their taste."""
        self.focus_N[who] = self.taste_groups(who, random)
        self.liked_N[who] = self.cart_N[who] = -1

    def taste_groups(self, who: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """A group of each customer's taste; a department's first categories are favoured."""
        category = np.floor(CATEGORIES_A_DEPARTMENT * random.random(len(who)) ** 1.5)
        return group_of(self.draw_taste(who, random), category.astype(np.int64))

    def draw_taste(self, who: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """A taste cluster of each: mostly the main one, rarely any."""
        draw = random.random(len(who))
        anything = random.integers(CLUSTERS, size=len(who))
        second = np.where(draw < 0.93, self.second_N[who], anything)
        return np.where(draw < 0.72, self.main_N[who], second)

    def wanted(self, who: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """How welcome an item of a group is to each customer, 0..1."""
        cluster = cluster_of(groups)
        taste = np.where(cluster == self.main_N[who], 0.6, 0.05)
        taste = np.where(cluster == self.second_N[who], 0.3, taste)
        searching = (self.focus_N[who] == groups) & np.isin(self.intent_N[who], [BROWSE, COMPARE])
        return np.where(searching, 1.0, taste)

    def suffer(self, who: np.ndarray, times: np.ndarray, grief: np.ndarray) -> None:
        """Customers, who may stand here twice, have their purchase on their mind, and grief."""
        np.add.at(self.grief_N, who, grief)
        first, place = np.unique(who, return_index=True)
        idle = self.intent_N[first] == INACTIVE
        self.set_intent(first[idle], times[place[idle]], AFTER_SALES)

    def pass_night(self, midnight: int, random: np.random.Generator) -> None:
        """Intents calm down; fatigue and grief fade."""
        calm = np.flatnonzero(random.random(len(self.intent_N)) < CALMING[self.intent_N])
        self.set_intent(calm, np.full(len(calm), midnight), INACTIVE)
        self.fatigue_N *= FATIGUE_KEPT
        self.grief_N *= GRIEF_KEPT

    def visiting(self, day: int, weekday: int, random: np.random.Generator) -> np.ndarray:
        """Who comes on a day by their own will."""
        chance = self.activity_N * VISIT_FACTOR[self.intent_N] / (1 + self.grief_N)
        if weekday >= 5:
            chance = chance * self.weekend_N
        here = (random.random(len(chance)) < chance) & (self.joined_N <= day)
        return np.flatnonzero(here)


def make_customers(count: int, days: int, random: np.random.Generator) -> Customers:
    """People who differ; four of ten are customers already on the first day."""
    main = random.choice(CLUSTERS, count, p=_uneven(CLUSTERS))
    joined = random.integers(-days * 2 // 3, days, count)
    shares = random.dirichlet([3.0, 2.5, 1.0], count)
    nothing = np.full(count, -1)
    return Customers(
        main_N=main,
        second_N=(main + random.integers(1, CLUSTERS, count)) % CLUSTERS,
        brand_N=random.integers(2, size=count),
        activity_N=np.minimum(random.gamma(1.2, 0.16, count), 0.9),
        arm_N=random.choice(len(ARMS), count, p=ARM_SHARES),
        joined_N=np.maximum(joined, 0),
        hour_N=random.choice([7.5, 12.5, 17.0, 20.5], count, p=[0.15, 0.25, 0.2, 0.4]),
        weekend_N=random.lognormal(0.1, 0.4, count),
        channels_N3=np.cumsum(shares, axis=1),
        intent_N=np.full(count, INACTIVE),
        focus_N=np.zeros(count, np.int64),
        last_N=nothing,
        liked_N=nothing.copy(),
        cart_N=nothing.copy(),
        fatigue_N=np.zeros(count),
        grief_N=np.zeros(count),
        opted_out_N=np.zeros(count, bool),
    )


def customer_ids(count: int) -> pa.Array:
    """What the customers are called."""
    return pa.array([f"customer-{number:06d}" for number in range(1, count + 1)])


def _uneven(count: int) -> np.ndarray:
    """Shares of which the first is three times the last."""
    weights = np.linspace(3, 1, count)
    return weights / weights.sum()
