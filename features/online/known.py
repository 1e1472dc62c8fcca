"""What is known of customers on-line: what interactions change of it, and how it is read."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from features.attention import showings
from features.identity import aliases_among
from features.interaction import ANONYMOUS, Interaction
from features.online.store import Known, OnlineFeatures, Reading
from features.privacy.consent import consent_records
from features.record import pack
from features.vocabulary import Vocabulary


def write_interactions(
    online: OnlineFeatures, interactions: Sequence[Interaction], vocabulary: Vocabulary
) -> None:
    """Makes interactions count: histories, consents, and joins. In any order, any number of times.

    Whoever writes for an anonymous customer looks for a join afterwards, and whoever joins copies
    afterwards what is there: of two that meet, one sees what the other has written.
    """
    histories: dict[str, bytes] = defaultdict(bytes)
    consents: dict[str, bytes] = defaultdict(bytes)
    for each in interactions:
        histories[each.customer_key] += pack(each, vocabulary)
        if said := consent_records(each, vocabulary):
            consents[each.customer_key] += said
    online.write_records(histories)
    online.write_consents(consents)
    join(online, aliases_among(interactions))
    copy_joined(online, histories, consents)
    note_shown(online, interactions)


def join(online: OnlineFeatures, aliases: Mapping[str, str]) -> None:
    """Joins anonymous keys to customers, and copies what is held of them.

    One that is joined already stays where it is.
    """
    if not aliases:
        return
    held = dict(zip(aliases, online.read_known(list(aliases)), strict=True))
    online.write_joins({key: aliases[key] for key, known in held.items() if not known.joined_to})
    copied = dict(zip(aliases, online.read_known(list(aliases)), strict=True))
    _copy(online, copied)


def copy_joined(
    online: OnlineFeatures, histories: Mapping[str, bytes], consents: Mapping[str, bytes]
) -> None:
    """What was written for anonymous customers is written also for those they turned out to be."""
    anonymous = [key for key in histories if key.startswith(ANONYMOUS)]
    if not anonymous:
        return
    found = zip(anonymous, online.read_known(anonymous), strict=True)
    written = {
        key: Known(histories[key], consents.get(key, b""), known.joined_to) for key, known in found
    }
    _copy(online, written)


def note_shown(online: OnlineFeatures, interactions: Sequence[Interaction]) -> None:
    """What names a decision shows that it has reached its customer: what it spent is spent."""
    shown: dict[str, set[str]] = defaultdict(set)
    for each in interactions:
        if each.decision_id:
            shown[each.customer_key].add(each.decision_id)
    found = dict(zip(shown, online.read_known(list(shown), ledgers=True), strict=True))
    owners = {key: known.joined_to for key, known in found.items() if known.joined_to}
    joined = online.read_known(list(owners.values()), ledgers=True)
    ledgers = {key: (key, known.attention) for key, known in found.items()} | {
        key: (owner, known.attention)
        for (key, owner), known in zip(owners.items(), joined, strict=True)
    }
    records: dict[str, bytes] = defaultdict(bytes)
    for key, (owner, ledger) in ledgers.items():
        records[owner] += showings(ledger, shown[key])
    online.write_attention({key: said for key, said in records.items() if said})


def _copy(online: OnlineFeatures, held: Mapping[str, Known]) -> None:
    histories: dict[str, bytes] = defaultdict(bytes)
    consents: dict[str, bytes] = defaultdict(bytes)
    for known in held.values():
        if known.joined_to:
            histories[known.joined_to] += known.history
            consents[known.joined_to] += known.consent
    online.write_records({key: blob for key, blob in histories.items() if blob})
    online.write_consents({key: blob for key, blob in consents.items() if blob})


def read_joined(
    online: OnlineFeatures, customer_keys: Sequence[str], *, log_id: str, ledgers: bool = False
) -> Reading:
    """What is known of each customer; of a joined anonymous one, what is known of that customer."""
    reading = online.read(customer_keys, log_id=log_id, ledgers=ledgers)
    joined = {at: each.joined_to for at, each in enumerate(reading.customers) if each.joined_to}
    if not joined:
        return reading
    further = online.read(list(joined.values()), log_id=log_id, ledgers=ledgers)
    theirs = {
        at: replace(known, joined_to=joined[at])
        for at, known in zip(joined, further.customers, strict=True)
    }
    found = dict(enumerate(reading.customers)) | theirs
    return Reading([found[at] for at in sorted(found)], reading.whole and further.whole)
