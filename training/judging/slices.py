"""Kinds of examples that a mean over all of them hides, each known by a fact about the example.

N examples   V items
"""

from collections.abc import Mapping

import numpy as np

from features.encoding import ItemIndex
from features.record import RECORD_BYTES
from features.vocabulary import OTHER_CHANNEL, OTHER_CHANNEL_CODE, Vocabulary
from training.data.steps import item_indices
from training.judging.examples import Examples

NEW = 2  # interactions before the question, at most
SHORT = 5
SELDOM = 5  # interactions with the right item before the test, at most
NEW_CUSTOMERS = "new customers"
UNSEEN = "unseen items"

Slices = Mapping[str, np.ndarray]
"""Which examples (bool, N) are of each kind; one may be of several."""


def slices_of(
    examples: Examples, items: ItemIndex, popularity_V: np.ndarray, vocabulary: Vocabulary
) -> dict[str, np.ndarray]:
    """All kinds of which there are any examples."""
    slices = _by_history(examples)
    slices |= _by_item(seen_before(examples, items, popularity_V), examples.item_N != 0)
    slices |= _by_channel(examples.channel_N, vocabulary)
    return {name: chosen_N for name, chosen_N in slices.items() if chosen_N.any()}


def _by_history(examples: Examples) -> dict[str, np.ndarray]:
    length_N = np.array([len(each) for each in examples.histories]) // RECORD_BYTES
    return {
        NEW_CUSTOMERS: length_N <= NEW,
        "short histories": length_N <= SHORT,
        "longer histories": length_N > SHORT,
    }


def _by_item(seen_N: np.ndarray, named_N: np.ndarray) -> dict[str, np.ndarray]:
    return {
        UNSEEN: named_N & (seen_N == 0),
        "seldom seen items": named_N & (seen_N > 0) & (seen_N <= SELDOM),
        "often seen items": named_N & (seen_N > SELDOM),
    }


def _by_channel(channel_N: np.ndarray, vocabulary: Vocabulary) -> dict[str, np.ndarray]:
    names = {**vocabulary.channel_by_code, OTHER_CHANNEL_CODE: OTHER_CHANNEL}
    return {f"channel {names[code]}": channel_N == code for code in np.unique(channel_N).tolist()}


def seen_before(examples: Examples, items: ItemIndex, popularity_V: np.ndarray) -> np.ndarray:
    """How often the right item occurred before the test."""
    item_N = item_indices(examples.item_N, items)
    return np.where(item_N < 0, 0, popularity_V[np.maximum(item_N, 0)])
