"""An identify interaction joins an anonymous history to a known customer, once and for all."""

from pathlib import Path

import pyarrow as pa

from features.history.partitions import write_part
from features.identity import aliases_among, aliases_in
from features.interaction import Interaction
from tests.interactions import interaction, table_of
from training.data.sequences import customers_of


def joining(customer: str | None, anonymous: str | None, number: int = 0) -> Interaction:
    return interaction(
        number, type="identify", item_id=None, customer_id=customer, anonymous_id=anonymous
    )


def test_only_an_identify_that_names_both_joins() -> None:
    both = interaction(1, customer_id="ada", anonymous_id="x")  # a view: joins nothing
    assert aliases_among([both, joining("ada", None), joining(None, "y")]) == {}
    assert aliases_among([joining("ada", "x")]) == {"anonymous:x": "ada"}


def test_the_first_customer_keeps_an_anonymous_id() -> None:
    rows = [joining("ada", "x", 1), joining("bob", "x", 2), joining("ada", "y", 3)]
    assert aliases_among(rows) == {"anonymous:x": "ada", "anonymous:y": "ada"}


def test_the_history_knows_the_earliest_join(tmp_path: Path) -> None:
    assert len(aliases_in(tmp_path)) == 0
    rows = [joining("bob", "x", 2), joining("ada", "x", 1), interaction(3, anonymous_id="z")]
    write_part(tmp_path, table_of(rows), part="a")
    assert aliases_in(tmp_path).to_pylist() == [{"alias": "anonymous:x", "customer_key": "ada"}]


def test_training_reads_a_joined_history_as_one() -> None:
    aliases = pa.table({"alias": ["anonymous:x"], "customer_key": ["ada"]})
    rows = table_of(
        [
            interaction(1, customer_id=None, anonymous_id="x"),
            interaction(2, customer_id=None, anonymous_id="y"),
            interaction(3, customer_id="bob", anonymous_id="x"),
        ]
    )
    assert customers_of(rows, aliases).to_pylist() == ["ada", "anonymous:y", "bob"]
