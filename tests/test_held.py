"""What is held of a customer, as people see it."""

from datetime import timedelta

from features.held import Held, held_interactions
from features.item import Item
from features.record import item_hash, pack
from features.vocabulary import Initiator, load_vocabulary
from tests.interactions import START, interaction


def test_records_are_shown_newest_first_with_their_items() -> None:
    vocabulary = load_vocabulary()
    bought = interaction(1, type="purchase", channel="store", amount=100.0, currency="EUR")
    told = interaction(2, type="message", initiator="COMPANY", channel="pigeon", item_id="gone")
    tea = Item(item_id="i1", name="Tea")
    records = pack(bought, vocabulary) + pack(told, vocabulary)
    newest, oldest = held_interactions(records, vocabulary, {item_hash("i1"): tea})
    assert newest == Held(
        START + timedelta(seconds=2), Initiator.COMPANY, "message", "other", None, 0.0
    )
    assert (oldest.type, oldest.channel, oldest.item) == ("purchase", "store", tea)
    assert 94 < oldest.amount < 106
    assert held_interactions(b"", vocabulary, {}) == []
