"""Neighbouring sessions: what else was in those most like what the customer did last.

After VMIS-kNN of Serenade (Kersbergen, Sprangers and Schelter, SIGMOD 2022): the newest sessions
with any of the last items are looked up; those that share most with them vote for their items, and
an item that is in few sessions counts more. As in STAN (Garg and others, SIGIR 2019) a vote fades
with the distance from the item shared: what came right after it counts most.

N records, or examples   V items   S sessions   P items of sessions, Q the same by item
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from features.encoding import ItemIndex
from features.record import TICKS_PER_SECOND, unpack
from training.data.steps import item_indices

if TYPE_CHECKING:
    from training.data.sequences import Sequences

PAUSE_TICKS = 3600 * TICKS_PER_SECOND  # a longer one ends a session
LAST_ITEMS = 2
SESSIONS_AN_ITEM = 500  # the newest
NEIGHBOURS = 100
FADING = 0.5  # of a vote with each place after the shared item
BEFORE = 0.1  # of a vote for what came before it


@dataclass(frozen=True, slots=True)
class Sessions:
    """The items of each session in their order, one session after another."""

    item_P: np.ndarray
    size_S: np.ndarray
    end_S: np.ndarray  # ticks


NO_SESSIONS = Sessions(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """Sessions by recency, and for each item the sessions that it is in."""

    item_P: np.ndarray
    start_S: np.ndarray  # where each session's items begin; then where all end
    session_Q: np.ndarray  # by item, and of each item the newest last
    place_Q: np.ndarray  # where in item_P the session has the item first
    first_V: np.ndarray  # where in session_Q each item's begin; then where all end
    rarity_V: np.ndarray  # log of one in how many sessions an item is


# ---- Counting ----------------------------------------------------------------------------------


def add_sessions(sessions: Sessions, sequences: "Sequences", items: ItemIndex) -> Sessions:
    """With those of these customers in which items are named more than once."""
    columns = unpack(sequences.records)
    item_N = item_indices(columns.item, items)
    begins_N = np.diff(columns.tick, prepend=columns.tick[:1]) > PAUSE_TICKS
    begins_N[sequences.starts] = True
    session_N = np.cumsum(begins_N) - 1
    end_S = columns.tick[np.append(np.flatnonzero(begins_N)[1:], len(begins_N)) - 1]
    size_S = np.bincount(session_N[item_N >= 0], minlength=len(end_S))
    several_S = size_S > 1
    return Sessions(
        np.concatenate([sessions.item_P, item_N[(item_N >= 0) & several_S[session_N]]]),
        np.concatenate([sessions.size_S, size_S[several_S]]),
        np.concatenate([sessions.end_S, end_S[several_S]]),
    )


def neighbourhood(sessions: Sessions, item_count: int) -> Neighbourhood:
    """All that votes are made from."""
    order = np.argsort(sessions.end_S, kind="stable")
    start_S, size_S = np.cumsum(sessions.size_S) - sessions.size_S, sessions.size_S[order]
    item_P = sessions.item_P[_spans(start_S[order], size_S)]
    session_P = np.repeat(np.arange(len(order)), size_S)
    code_P = item_P * max(len(order), 1) + session_P
    _, place_Q = np.unique(code_P, return_index=True)
    count_V = np.bincount(item_P[place_Q], minlength=item_count)
    return Neighbourhood(
        item_P=item_P,
        start_S=np.append(0, np.cumsum(size_S)),
        session_Q=session_P[place_Q],
        place_Q=place_Q,
        first_V=np.append(0, np.cumsum(count_V)),
        rarity_V=np.log(max(len(order), 1) / np.maximum(count_V, 1)),
    )


def _spans(starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """All places from each start on, so many of each."""
    firsts = np.cumsum(sizes) - sizes
    return np.arange(sizes.sum()) + np.repeat(starts - firsts, sizes)


# ---- Asking ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shared:
    """What sessions have in common with the last items of one customer; zeros between customers."""

    weight_S: np.ndarray  # more for newer items
    newest_S: np.ndarray  # the weight of the newest shared item
    place_S: np.ndarray  # where in item_P that is


def votes(known: Neighbourhood, named: Sequence[np.ndarray]) -> np.ndarray:
    """How much neighbouring sessions are for each item (N, V), of histories oldest first."""
    S, V = len(known.start_S) - 1, len(known.rarity_V)
    shared = _Shared(np.zeros(S), np.zeros(S), np.zeros(S, np.int64))
    vote_NV = np.zeros((len(named), V), np.float32)
    for vote_V, items in zip(vote_NV, named, strict=True):
        touched = _share(known, _last(items), shared)
        _vote(known, _nearest(touched, shared), shared, vote_V)
        shared.weight_S[touched] = 0
    return vote_NV


def _last(items: np.ndarray) -> list[int]:
    """The last different items, oldest first."""
    return list(dict.fromkeys(items[::-1].tolist()))[:LAST_ITEMS][::-1]


def _share(known: Neighbourhood, items: list[int], shared: _Shared) -> np.ndarray:
    """Notes what sessions have in common with the items; gives those that have anything."""
    touched = [np.zeros(0, np.int64)]
    for number, item in enumerate(items, start=1):
        first, end = known.first_V[item : item + 2]
        newest = slice(max(first, end - SESSIONS_AN_ITEM), end)
        sessions = known.session_Q[newest]
        shared.weight_S[sessions] += number / len(items)
        shared.newest_S[sessions] = number / len(items)
        shared.place_S[sessions] = known.place_Q[newest]
        touched.append(sessions)
    return np.unique(np.concatenate(touched))


def _nearest(touched: np.ndarray, shared: _Shared) -> np.ndarray:
    """The sessions that share most; of equals the newest."""
    return touched[np.argsort(shared.weight_S[touched], kind="stable")[-NEIGHBOURS:]]


def _vote(known: Neighbourhood, sessions: np.ndarray, shared: _Shared, vote_V: np.ndarray) -> None:
    sizes = known.start_S[sessions + 1] - known.start_S[sessions]
    place = _spans(known.start_S[sessions], sizes)
    distance = place - np.repeat(shared.place_S[sessions], sizes)
    near = FADING ** np.abs(distance - (distance > 0)) * np.where(distance > 0, 1, BEFORE)
    weight = np.repeat(shared.weight_S[sessions] * shared.newest_S[sessions], sizes)
    np.add.at(vote_V, known.item_P[place], weight * near * known.rarity_V[known.item_P[place]])
