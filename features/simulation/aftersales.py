"""What follows a purchase: deliveries and delays, service, complaints, ratings and returns."""

import numpy as np

from features.simulation.ledger import (
    FIRST_RETURN_REASON,
    FIRST_STARS,
    HOW,
    LATE,
    RETURN_REASONS,
    WHERE,
    Channel,
    Kind,
)
from features.simulation.world import DAY, HOUR, Experience, Purchases, World

DELAYED = 0.12  # of the orders
COMPLAINS, ASKS_WHERE = 0.45, 0.3  # of the delayed
ASKS_HOW = 0.04  # of all
REPLIED = 0.92  # of complaints and requests
RATED = 0.18


def follow_up(world: World, bought: Purchases) -> None:
    """Records what will happen after purchases, in the weeks to come."""
    ordered = bought[bought.visits.channel != Channel.STORE]
    delayed = world.chance(np.full(len(ordered.items), DELAYED))
    promised = ordered.visits.time + _hours(world, len(delayed), least=40, mean=20)
    arrival = promised + np.where(delayed, _hours(world, len(delayed), least=48, mean=36), 0)
    late = ordered[delayed]
    _tell(world, late, Kind.DELAY, promised[delayed])
    _tell(world, ordered, Kind.DELIVERY, arrival)
    _suffer_delay(world, late, promised[delayed])
    _keep_or_return(world, ordered, arrival, delayed)
    in_store = bought[bought.visits.channel == Channel.STORE]
    none = np.zeros(len(in_store.items), bool)
    _keep_or_return(world, in_store, in_store.visits.time, none)


def undergo(world: World, midnight: int) -> None:
    """What was to come on this day turns customers' minds to what they have bought."""
    for each in world.coming.pop(midnight, []):
        world.customers.suffer(each.who, each.time, each.grief)


def _tell(world: World, bought: Purchases, kind: int, time: np.ndarray) -> None:
    """The company says something about an order; customers take note the same day."""
    world.ledger.add(
        time=time, customer=bought.visits.who, type=kind, channel=Channel.EMAIL, item=bought.items
    )
    _expect(world, bought.visits.who, time, 0.5 if kind == Kind.DELAY else 0.0)


def _suffer_delay(world: World, late: Purchases, told: np.ndarray) -> None:
    """Some complain, others ask."""
    draw = world.random.random(len(told))
    time = told + _hours(world, len(told), least=0.1, mean=8)
    complains = draw < COMPLAINS
    asks = ~complains & (draw < COMPLAINS + ASKS_WHERE)
    _turn_to_service(world, late[complains], time[complains], Kind.COMPLAINT, LATE)
    _turn_to_service(world, late[asks], time[asks], Kind.SERVICE_REQUEST, WHERE)


def _turn_to_service(
    world: World, about: Purchases, time: np.ndarray, kind: int, note: int
) -> None:
    """A complaint or request in a service channel, and mostly a reply in the same."""
    who, items = about.visits.who, about.items
    channel = world.random.choice(
        [Channel.CONTACT_CENTER, Channel.CHAT, Channel.EMAIL], len(who), p=[0.4, 0.35, 0.25]
    )
    world.ledger.add(time=time, customer=who, type=kind, channel=channel, item=items, note=note)
    _expect(world, who, time, 2.0 if kind == Kind.COMPLAINT else 0.3)
    replied = world.chance(np.full(len(who), REPLIED))
    waiting = _hours(world, len(who), least=0.05, mean=4)
    world.ledger.add(
        time=(time + waiting)[replied],
        customer=who[replied],
        type=Kind.SERVICE_REPLY,
        channel=channel[replied],
        item=items[replied],
    )


def _keep_or_return(
    world: World, bought: Purchases, arrival: np.ndarray, delayed: np.ndarray
) -> None:
    """A good item that came in time is kept and rated well."""
    quality = world.catalog.quality_M[bought.items]
    returned = world.chance(0.02 + 0.22 * (1 - quality) + 0.08 * delayed)
    _return(world, bought[returned], arrival[returned])
    rated = ~returned & world.chance(np.full(len(quality), RATED))
    stars = np.clip(world.random.normal(2.5 + 2.7 * quality - 1.2 * delayed, 0.7), 1, 5)
    world.ledger.add(
        time=(arrival + _hours(world, len(quality), least=20, mean=60))[rated],
        customer=bought.visits.who[rated],
        type=Kind.RATING,
        channel=np.where(bought.visits.channel == Channel.APP, Channel.APP, Channel.WEB)[rated],
        item=bought.items[rated],
        note=FIRST_STARS - 1 + np.round(stars[rated]).astype(np.int64),
    )
    asks = ~returned & world.chance(np.full(len(quality), ASKS_HOW))
    later = arrival + _hours(world, len(quality), least=2, mean=48)
    _turn_to_service(world, bought[asks], later[asks], Kind.SERVICE_REQUEST, HOW)


def _return(world: World, unwanted: Purchases, arrival: np.ndarray) -> None:
    """All that was bought of the item goes back, within two weeks or so."""
    count = len(unwanted.items)
    time = arrival + _hours(world, count, least=12, mean=96)
    world.ledger.add(
        time=time,
        customer=unwanted.visits.who,
        type=Kind.RETURN,
        channel=world.random.choice([Channel.WEB, Channel.STORE], count, p=[0.65, 0.35]),
        item=unwanted.items,
        quantity=unwanted.quantities,
        amount=unwanted.amounts,
        note=FIRST_RETURN_REASON + world.random.integers(RETURN_REASONS, size=count),
    )
    _expect(world, unwanted.visits.who, time, 0.7)


def _expect(world: World, who: np.ndarray, time: np.ndarray, grief: float) -> None:
    """Notes, under its day, what customers will go through."""
    midnights = time // DAY * DAY
    for midnight in np.unique(midnights).tolist():
        due = midnights == midnight
        felt = np.full(int(due.sum()), grief)
        world.coming.setdefault(midnight, []).append(Experience(who[due], time[due], felt))


def _hours(world: World, count: int, *, least: float, mean: float) -> np.ndarray:
    """Times of at least and on average `least` + `mean` hours, in microseconds."""
    return ((least + world.random.exponential(mean, count)) * HOUR).astype(np.int64)
