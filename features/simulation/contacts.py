"""What the company says unasked, messages and slates of items, and how it is received."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from features.simulation.customers import BROWSE, INACTIVE, MESSAGES_A_DAY
from features.simulation.ledger import NO_CONTACT, Channel, Kind
from features.simulation.sessions import pause, see, start_journeys
from features.simulation.world import HOUR, SECOND, Visits, World

RESPONSES = ("none", "visit", "dismissal", "opt-out")
NONE, VISIT, DISMISSED, OPTED_OUT = range(len(RESPONSES))
AIMED = 0.6  # share of offers that meet the customer's own taste
SLATE = 3  # items shown at once
SHOWS_SLATE = 0.4  # of the visits on web and app
MESSAGE_TIRES, SLATE_TIRES = 0.15, 0.03  # fatigue that one contact adds at most


@dataclass(frozen=True, slots=True)
class Contacts:
    """To whom the company turns unasked on a day, each customer once, and with which item."""

    visits: Visits  # without sessions
    items: np.ndarray


Choose = Callable[[World, int, int], Contacts]
"""Of a world, a day's number and its midnight: whom to contact, among those who may be."""


@dataclass(frozen=True, slots=True)
class Offers:
    """Items offered to customers, each offer a decision of the company."""

    visits: Visits
    items: np.ndarray
    decision: np.ndarray
    wanted: np.ndarray  # 0..1
    fatigue: np.ndarray  # 0..1, before the offer

    def __getitem__(self, chosen: np.ndarray) -> "Offers":
        return Offers(
            self.visits[chosen],
            self.items[chosen],
            self.decision[chosen],
            self.wanted[chosen],
            self.fatigue[chosen],
        )


def visit_chance(wanted: np.ndarray, fatigue: np.ndarray) -> np.ndarray:
    """How likely an offer is taken up: wanted, and by someone who is not tired of offers."""
    return 0.35 * wanted * (1 - fatigue) ** 1.5


def decline_chance(wanted: np.ndarray, fatigue: np.ndarray) -> np.ndarray:
    """How likely an offer is dismissed."""
    return (1 - wanted) * (0.02 + 0.2 * fatigue)


def opt_out_chance(fatigue: np.ndarray) -> np.ndarray:
    """How likely a message makes someone opt out."""
    return 0.0005 + 0.06 * fatigue**3


def contactable(world: World, day: int) -> np.ndarray:
    """Who has joined and not opted out (N)."""
    customers = world.customers
    may_be: np.ndarray = ~customers.opted_out_N & (customers.joined_N <= day)
    return may_be


def by_lot(world: World, day: int, midnight: int) -> Contacts:
    """As each customer's contact arm has it: with an item of their own taste, or any."""
    often = world.chance(MESSAGES_A_DAY[world.customers.arm_N])
    visits = moments(world, np.flatnonzero(contactable(world, day) & often), midnight)
    return Contacts(visits, _draw_items(world, visits.who))


def moments(world: World, who: np.ndarray, midnight: int) -> Visits:
    """When in the morning, and in which channel, customers would be contacted."""
    time = midnight + ((8 + 3 * world.random.random(len(who))) * HOUR).astype(np.int64)
    channel = world.random.choice(
        [Channel.EMAIL, Channel.PUSH, Channel.SMS], len(who), p=[0.6, 0.25, 0.15]
    )
    return Visits(who, time, channel, np.full(len(who), -1))


def send_messages(world: World, contacts: Contacts) -> Visits:
    """Sends the day's messages; gives the visits they bring, after the view of what was offered."""
    offers = _offer(world, contacts.visits, contacts.items)
    who, customers = offers.visits.who, world.customers
    _record(world, offers, Kind.MESSAGE)
    response = _respond(world, offers)
    world.messages.append(_truth(offers, response))
    customers.fatigue_N[who] += (1 - offers.fatigue) * MESSAGE_TIRES * (1.2 - offers.wanted)
    _decline(world, offers, response)
    return _come(world, offers[response == VISIT])


def show_slates(world: World, visits: Visits) -> Visits:
    """Shows items to visitors of web and app, who may look at one; gives all visits, later on."""
    shown = (visits.channel != Channel.STORE) & world.chance(np.full(len(visits), SHOWS_SLATE))
    offers = _offer(world, visits[shown], _draw_items(world, visits.who[shown]))
    for place in range(SLATE):
        neighbours = (offers.items + place) % len(world.catalog.items)
        delay = place * SECOND // 100
        _record(world, offers, Kind.IMPRESSION, items=neighbours, delay=delay, position=place + 1)
    world.customers.fatigue_N[offers.visits.who] += (1 - offers.fatigue) * SLATE_TIRES
    taken = world.chance(visit_chance(offers.wanted, offers.fatigue))
    declined = ~taken & world.chance(decline_chance(offers.wanted, offers.fatigue) / 4)
    _record(world, offers[declined], Kind.DISMISSAL, delay=3 * SECOND, position=1)
    _take_up(world, offers[taken], position=1)
    later = visits.time + np.where(shown, 60 * SECOND, 0)
    return Visits(visits.who, later, visits.channel, visits.session)


def _offer(world: World, visits: Visits, items: np.ndarray) -> Offers:
    """One item for each customer."""
    customers, who = world.customers, visits.who
    wanted = customers.wanted(who, world.catalog.group_M[items])
    decision = world.number_decisions(len(who))
    return Offers(visits, items, decision, wanted, customers.fatigue_N[who])


def _draw_items(world: World, who: np.ndarray) -> np.ndarray:
    """An item for each customer: of their own taste, or any."""
    catalog = world.catalog
    aimed = world.chance(np.full(len(who), AIMED))
    usual = catalog.draw(world.customers.taste_groups(who, world.random), world.random)
    other = catalog.draw(world.random.integers(len(catalog.size_G), size=len(who)), world.random)
    return np.where(aimed, usual, other)


def _record(
    world: World,
    offers: Offers,
    kind: int,
    *,
    items: np.ndarray | None = None,
    delay: int | np.ndarray = 0,
    position: int = -1,
    note: int = -1,
) -> None:
    world.ledger.add(
        time=offers.visits.time + delay,
        customer=offers.visits.who,
        session=offers.visits.session,
        type=kind,
        channel=offers.visits.channel,
        item=offers.items if items is None else items,
        decision=offers.decision,
        position=position,
        note=note,
    )


def _respond(world: World, offers: Offers) -> np.ndarray:
    """One response to each message."""
    draw = world.random.random(len(offers.items))
    visit = visit_chance(offers.wanted, offers.fatigue)
    dismissal = visit + decline_chance(offers.wanted, offers.fatigue)
    opt_out = dismissal + opt_out_chance(offers.fatigue)
    choices = [draw < visit, draw < dismissal, draw < opt_out]
    return np.select(choices, [VISIT, DISMISSED, OPTED_OUT], NONE)


def _decline(world: World, offers: Offers, response: np.ndarray) -> None:
    """Dismissals and opt-outs, some minutes after the message and in its channel."""
    for answer, kind, note in (
        (DISMISSED, Kind.DISMISSAL, -1),
        (OPTED_OUT, Kind.OPT_OUT, NO_CONTACT),
    ):
        some = offers[response == answer]
        delay = (world.random.exponential(0.5, len(some.items)) * HOUR).astype(np.int64)
        _record(world, some, kind, delay=delay + 5 * SECOND, note=note)
    world.customers.opted_out_N[offers.visits.who[response == OPTED_OUT]] = True


def _come(world: World, offers: Offers) -> Visits:
    """The visits of those who follow a message, within hours."""
    who = offers.visits.who
    delay = ((0.1 + world.random.exponential(1.5, len(who))) * HOUR).astype(np.int64)
    channel = np.where(offers.visits.channel == Channel.PUSH, Channel.APP, Channel.WEB)
    session = world.number_sessions(len(who))
    visits = Visits(who, offers.visits.time + delay, channel, session)
    come = Offers(visits, offers.items, offers.decision, offers.wanted, offers.fatigue)
    start_journeys(world, visits)
    _take_up(world, come)
    return Visits(who, visits.time + pause(world, len(who)), channel, session)


def _take_up(world: World, offers: Offers, *, position: int = -1) -> None:
    """Customers look at what was offered, and are after such things from now on."""
    delay = 5 * SECOND if position > 0 else 0
    _record(world, offers, Kind.VIEW, delay=delay, position=position)
    who, customers = offers.visits.who, world.customers
    idle = customers.intent_N[who] == INACTIVE
    customers.set_intent(who[idle], offers.visits.time[idle], BROWSE)
    customers.focus_N[who] = world.catalog.group_M[offers.items]
    see(world, who, offers.items)


def _truth(offers: Offers, response: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "customer": offers.visits.who,
        "time": offers.visits.time,
        "item": offers.items,
        "decision": offers.decision,
        "wanted": offers.wanted,
        "fatigue": offers.fatigue,
        "visit_probability": visit_chance(offers.wanted, offers.fatigue),
        "response": response,
    }
