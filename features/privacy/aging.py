"""Aging: which packed records are past their time, to be taken out of an online store again."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from features.record import RECORD, unpack

TYPE_CODES = 256
BYTES_VAL = 0x0A  # how a feast.types.Value of bytes begins: then their length, as a varint


@dataclass(frozen=True)
class Aging:
    """The tick before which records are past their time, by type code."""

    first_ticks: Mapping[int, int]
    default_tick: int  # of codes that are no longer declared

    @cached_property
    def _by_code(self) -> np.ndarray:
        ticks = np.full(TYPE_CODES, self.default_tick, np.int64)
        ticks[list(self.first_ticks)] = list(self.first_ticks.values())
        return ticks

    def past(self, records: bytes) -> bytes:
        """Those of some records that are past their time."""
        array = np.frombuffer(records, RECORD)
        columns = unpack(array)
        return array[columns.tick < self._by_code[columns.type]].tobytes()


def records_of(value: bytes) -> bytes:
    """The bytes in an encoded feast.types.Value; empty if it holds none."""
    if value[:1] != bytes([BYTES_VAL]):
        return b""
    at = 1
    while value[at] >= 128:
        at += 1
    return value[at + 1 :]


def value_of(records: bytes) -> bytes:
    """The opposite."""
    length, header = len(records), bytearray([BYTES_VAL])
    while length >= 128:
        header.append(length % 128 + 128)
        length //= 128
    return bytes(header) + bytes([length]) + records
