"""Padding: which questions run together, so that the short ones do not wait for the long ones."""

from collections.abc import Sequence

EXTRA_RUN = 64  # records of padding that cost what one more run of the model costs


def runs_of(lengths: Sequence[int]) -> list[list[int]]:
    """Places of `lengths`, shortest first, cut wherever the padding costs more than a run."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    return _cut(order, lengths) if order else []


def _cut(order: list[int], lengths: Sequence[int]) -> list[list[int]]:
    longest = lengths[order[-1]]
    if (longest - lengths[order[0]]) * len(order) <= EXTRA_RUN:
        return [order]
    saved, at = max((at * (longest - lengths[order[at - 1]]), at) for at in range(1, len(order)))
    if saved <= EXTRA_RUN:
        return [order]
    return [*_cut(order[:at], lengths), *_cut(order[at:], lengths)]
