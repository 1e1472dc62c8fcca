"""Visits: what customers do, step by step, on the web, in the app and in stores.

All of a day's visitors move together, one step at a time.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from features.simulation.catalog import LINES, complement
from features.simulation.customers import AFTER_SALES, BROWSE, BUY, COMPARE, INACTIVE
from features.simulation.ledger import Channel, Kind
from features.simulation.world import HOUR, SECOND, Purchases, Visits, World

MAX_STEPS = 20  # few would stay longer
OPENS, AWAKE = 6.0, 17.5  # hours: nobody comes in the small hours
LEAVE = -1
STEPS = np.array([LEAVE, Kind.SEARCH, Kind.VIEW, Kind.FAVORITE, Kind.CART_ADD, Kind.PURCHASE])
# Chance of each of STEPS, by intent.
STEP_CHANCES = np.cumsum(
    [
        [1.00, 0.00, 0.00, 0.00, 0.00, 0.00],  # inactive
        [0.15, 0.14, 0.67, 0.04, 0.00, 0.00],  # browse
        [0.11, 0.07, 0.64, 0.05, 0.13, 0.00],  # compare
        [0.08, 0.02, 0.30, 0.00, 0.25, 0.35],  # buy
        [0.45, 0.05, 0.50, 0.00, 0.00, 0.00],  # after-sales
    ],
    axis=1,
)
# Chance of the intent at the next step, by intent.
INTENT_CHANCES = np.cumsum(
    [
        [1.00, 0.00, 0.00, 0.00, 0.00],  # inactive
        [0.02, 0.84, 0.14, 0.00, 0.00],  # browse
        [0.00, 0.07, 0.82, 0.11, 0.00],  # compare
        [0.00, 0.00, 0.10, 0.90, 0.00],  # buy
        [0.00, 0.15, 0.00, 0.00, 0.85],  # after-sales
    ],
    axis=1,
)
TO_SUCCESSOR, TO_LIKED, DETOUR = 0.4, 0.12, 0.15  # to the next item; else by popularity
STAYS_AFTER_PURCHASE = 0.3
GOES_ON_TO_COMPLEMENT = 0.45
BUYS_IN_STORE, BUYS_UNPREPARED = 0.7, 0.3  # with and without an item liked before
CHANGES_MIND_IN_STORE = 0.1
CHEAP = 40  # below this price people buy several at once


def arrivals(world: World, who: np.ndarray, midnight: int) -> Visits:
    """When and through which channel each of the day's visitors comes."""
    customers = world.customers
    hours = OPENS + (world.random.normal(customers.hour_N[who], 1.8) - OPENS) % AWAKE
    draw = world.random.random((len(who), 1))
    channel = np.minimum((customers.channels_N3[who] < draw).sum(axis=1), Channel.STORE)
    # To a store one goes to buy; who only looks around does it on the web.
    undecided = ~np.isin(customers.intent_N[who], [COMPARE, BUY])
    channel = np.where((channel == Channel.STORE) & undecided, Channel.WEB, channel)
    time = midnight + (hours * HOUR).astype(np.int64)
    return Visits(who, time, channel, world.number_sessions(len(who)))


def go_shopping(world: World, visits: Visits) -> Iterator[Purchases]:
    """Goes through all visits to their end; gives what was bought."""
    in_store = visits.channel == Channel.STORE
    yield _shop_in_store(world, visits[in_store])
    here = visits[~in_store]
    start_journeys(world, here)
    for _ in range(MAX_STEPS):
        steps = _next_steps(world, here.who)
        here, steps = here[steps != LEAVE], steps[steps != LEAVE]
        if not len(here):
            break
        buying = steps == Kind.PURCHASE
        _look(world, here[~buying], steps[~buying])
        yield _buy(world, here[buying])
        _change_intents(world, here[~buying])
        staying = ~buying | world.chance(np.full(len(here), STAYS_AFTER_PURCHASE))
        here = here[staying]
        here = replace(here, time=here.time + pause(world, len(here)))


def start_journeys(world: World, visits: Visits) -> None:
    """Those who come without an intent begin to browse."""
    customers = world.customers
    idle = visits[customers.intent_N[visits.who] == INACTIVE]
    customers.start_journey(idle.who, world.random)
    customers.set_intent(idle.who, idle.time, BROWSE)


def pause(world: World, count: int) -> np.ndarray:
    """How long people take for one step."""
    return ((2 + world.random.lognormal(3.4, 0.8, count)) * SECOND).astype(np.int64)


def see(world: World, who: np.ndarray, items: np.ndarray) -> None:
    """Customers look at items, and come to like some; a detour does not make them lose the way."""
    customers, groups = world.customers, world.catalog.group_M[items]
    on_the_way = groups == customers.focus_N[who]
    customers.last_N[who[on_the_way]] = items[on_the_way]
    liking = world.chance(0.2 + 0.5 * world.catalog.quality_M[items])
    customers.liked_N[who[liking]] = items[liking]


def _next_steps(world: World, who: np.ndarray) -> np.ndarray:
    """A step of each; who has nothing to put aside, or did so before, looks at something."""
    customers = world.customers
    steps = STEPS[_choose(world, STEP_CHANCES[customers.intent_N[who]])]
    liked = customers.liked_N[who]
    without = (liked < 0) & (steps >= Kind.FAVORITE)  # also cart-add and purchase
    again = (steps == Kind.CART_ADD) & (customers.cart_N[who] == liked)
    return np.where(without | again, Kind.VIEW, steps)


def _choose(world: World, chances: np.ndarray) -> np.ndarray:
    """The place in each row of cumulative chances."""
    draw = world.random.random((len(chances), 1))
    picked: np.ndarray = (chances[:, :-1] <= draw).sum(axis=1)
    return picked


def _look(world: World, visits: Visits, steps: np.ndarray) -> None:
    """Search, view, favorite and cart-add."""
    customers, who = world.customers, visits.who
    viewing, carting, searching = steps == Kind.VIEW, steps == Kind.CART_ADD, steps == Kind.SEARCH
    items = np.where(viewing, _next_items(world, who), customers.liked_N[who])
    items[searching] = -1
    world.ledger.add(
        time=visits.time,
        customer=who,
        session=visits.session,
        type=steps,
        channel=visits.channel,
        item=items,
        note=np.where(searching, customers.focus_N[who] // LINES, -1),
    )
    see(world, who[viewing], items[viewing])
    customers.cart_N[who[carting]] = items[carting]


def _next_items(world: World, who: np.ndarray) -> np.ndarray:
    """The last one's successor, the liked one again, one by popularity, or a detour."""
    customers, catalog = world.customers, world.catalog
    last, liked, focus = customers.last_N[who], customers.liked_N[who], customers.focus_N[who]
    draw = world.random.random(len(who))
    detour = draw > 1 - DETOUR
    groups = np.where(detour, customers.taste_groups(who, world.random), focus)
    items = _find(world, who, groups)
    items = np.where(~detour & (draw > 1 - DETOUR - TO_LIKED) & (liked >= 0), liked, items)
    related = (draw < TO_SUCCESSOR) & (last >= 0) & (catalog.group_M[last] == focus)
    return np.where(related, catalog.successor_M[last], items)


def _find(world: World, who: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """An item of each group; of two popular ones the one of the customer's kind of brand."""
    first, second = (world.catalog.draw(groups, world.random) for _ in range(2))
    fits = world.catalog.brand_M[first] == world.customers.brand_N[who]
    return np.where(fits, first, second)


def _change_intents(world: World, visits: Visits) -> None:
    customers = world.customers
    after = _choose(world, INTENT_CHANCES[customers.intent_N[visits.who]])
    not_yet = (after == BUY) & (customers.liked_N[visits.who] < 0)
    customers.set_intent(visits.who, visits.time, np.where(not_yet, COMPARE, after))


def _shop_in_store(world: World, visits: Visits) -> Purchases:
    """Only purchases leave a trace; some people find there what they never looked at."""
    customers, who = world.customers, visits.who
    liked = customers.liked_N[who]
    changing = world.chance(np.full(len(who), CHANGES_MIND_IN_STORE))
    found = _find(world, who, customers.focus_N[who])
    customers.liked_N[who] = np.where((liked < 0) | changing, found, liked)
    customers.cart_N[who[changing]] = -1
    buying = world.chance(np.where(liked < 0, BUYS_UNPREPARED, BUYS_IN_STORE))
    return _buy(world, visits[buying])


def _buy(world: World, visits: Visits) -> Purchases:
    """What is in the cart, else what is liked."""
    customers, who = world.customers, visits.who
    items = np.where(customers.cart_N[who] >= 0, customers.cart_N[who], customers.liked_N[who])
    prices = world.catalog.price_M[items]
    quantities = np.where(prices < CHEAP, 1 + world.random.poisson(0.4, len(who)), 1)
    bought = Purchases(visits, items, quantities, np.round(prices * quantities, 2))
    world.ledger.add(
        time=visits.time,
        customer=who,
        session=visits.session,
        type=Kind.PURCHASE,
        channel=visits.channel,
        item=items,
        quantity=quantities,
        amount=bought.amounts,
    )
    _end_journey(world, bought)
    return bought


def _end_journey(world: World, bought: Purchases) -> None:
    """Afterwards one rests, or goes on to what goes with it."""
    customers, visits = world.customers, bought.visits
    customers.liked_N[visits.who] = customers.cart_N[visits.who] = -1
    customers.last_N[visits.who] = bought.items
    groups = world.catalog.group_M[bought.items]
    goes_on = world.chance(np.full(len(groups), GOES_ON_TO_COMPLEMENT))
    customers.focus_N[visits.who] = np.where(goes_on, complement(groups), groups)
    customers.set_intent(visits.who, visits.time, np.where(goes_on, BROWSE, AFTER_SALES))
