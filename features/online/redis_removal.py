"""Taking out of Redis what was merged: single records, and the tombstones of the erased."""

import struct
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from features.online.redis_link import RedisLink, trips
from features.online.redis_scripts import ERASED_FIELD, Script
from features.privacy.aging import Aging, records_of

KEYS_A_SCAN = 500  # a hint to the server
KEYS_A_TRIP = 200
ENTITY_HEAD_BYTES = 8  # type and length

REMOVE = Script("""
-- KEYS: entity. ARGV: field of the records, field of the timestamp, records to take out.
-- Gives how many were held. What was merged meanwhile stays.
local RECORD = 14
local value = redis.call('HGET', KEYS[1], ARGV[1])
if not value or #value < 2 then return 0 end
local at, gone, kept, count = 2, {}, {}, 0
while string.byte(value, at) >= 128 do at = at + 1 end
for place = 1, #ARGV[3], RECORD do
  gone[string.sub(ARGV[3], place, place + RECORD - 1)] = true
end
for place = at + 1, #value, RECORD do
  local record = string.sub(value, place, place + RECORD - 1)
  if gone[record] then count = count + 1 else kept[#kept + 1] = record end
end
if count == 0 then return 0 end
if #kept == 0 then
  redis.call('HDEL', KEYS[1], ARGV[1], ARGV[2])
  return count
end
local records = table.concat(kept)
local length, header = #records, string.char(10)
while length >= 128 do
  header = header .. string.char(length % 128 + 128)
  length = math.floor(length / 128)
end
redis.call('HSET', KEYS[1], ARGV[1], header .. string.char(length) .. records)
return count
""")

UNMARK = Script("""
-- KEYS: entity. ARGV: a tick, 5 bytes. Removes a tombstone from before it; gives 1 if one is left.
local held = redis.call('HGET', KEYS[1], '_erased')
if not held then return 0 end
if struct.unpack('>I5', held) >= struct.unpack('>I5', ARGV[1]) then return 1 end
redis.call('HDEL', KEYS[1], '_erased')
return 0
""")


def scan(link: RedisLink, key_head: bytes, project: bytes) -> Iterator[list[bytes]]:
    """A project's keys that begin so, in batches; some may come twice. Raises OnlineError."""
    found = link.call("be scanned", lambda: iter(_scan(link.client, key_head)))
    while keys := link.call("be scanned", lambda: list(islice(found, KEYS_A_TRIP))):
        yield [each for each in keys if _project_of(each, key_head) == project]


def _project_of(key: bytes, head: bytes) -> bytes:
    """What follows the only entity in a key, which Feast writes as type, length and bytes."""
    start = len(head) + ENTITY_HEAD_BYTES
    (length,) = struct.unpack_from("<I", key, start - 4)
    return key[start + length :]


def _scan(client: Any, key_head: bytes) -> Iterator[bytes]:
    literal = b"".join(b"\\" + key_head[at : at + 1] for at in range(len(key_head)))
    yield from client.scan_iter(match=literal + b"*", count=KEYS_A_SCAN)


def drop_older(
    link: RedisLink, keys: Sequence[bytes], field: bytes, timestamp_field: str, aging: Aging
) -> int:
    """Takes what is past its time out of some customers' records; gives how many that were."""
    values = link.ask("read records", [("HGET", key, field) for key in keys])
    held = zip(keys, values, strict=True)
    past = [(key, aging.past(records_of(value))) for key, value in held if value]
    calls = [(1, key, field, timestamp_field, gone) for key, gone in past if gone]
    count = 0
    for some in trips(calls, KEYS_A_TRIP):
        count += sum(link.run("remove records", REMOVE, some))
    return count


def drop_tombstones(link: RedisLink, keys: Sequence[bytes], before: bytes) -> int:
    """Removes tombstones from before a tick (5 bytes); gives how many of these are left."""
    marks = link.ask("read tombstones", [("HEXISTS", key, ERASED_FIELD) for key in keys])
    calls = [(1, key, before) for key, marked in zip(keys, marks, strict=True) if marked]
    return sum(link.run("remove tombstones", UNMARK, calls)) if calls else 0
