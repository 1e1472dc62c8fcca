"""What Redis runs on behalf of the online store: each script is atomic, on keys of one slot."""

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha1


@dataclass(frozen=True)
class Script:
    """A Lua script, known to the server by its digest."""

    text: str

    @cached_property
    def digest(self) -> str:
        """What EVALSHA takes."""
        return sha1(self.text.encode(), usedforsecurity=False).hexdigest()


ERASED_FIELD = "_erased"  # of a customer: 5 bytes, the tick up to which records are refused

# Numbers compare records, not strings: Redis compares strings by the server's locale.
MERGE = Script("""
-- KEYS: entity. ARGV: field of the records, field of the timestamp, timestamp,
-- arriving records (distinct, ascending), bytes to keep, seconds to live or 0,
-- 1 to keep only the newest of those that are alike in their tail.
-- Gives how many of the arriving records were not held; erased ones do not count.
local RECORD = 14
local function before(a, i, b, j)
  local a1, a2, a3 = struct.unpack('>I6I6I2', a, i)
  local b1, b2, b3 = struct.unpack('>I6I6I2', b, j)
  if a1 ~= b1 then return a1 < b1 end
  if a2 ~= b2 then return a2 < b2 end
  return a3 < b3
end
local found = redis.call('HMGET', KEYS[1], ARGV[1], '_erased')
local held, arriving, keep = '', ARGV[4], tonumber(ARGV[5])
if found[1] and #found[1] > 1 then  -- Value{bytes_val}: 0x0A, length as varint, records
  local at = 2
  while string.byte(found[1], at) >= 128 do at = at + 1 end
  held = string.sub(found[1], at + 1)
end
if found[2] then
  local erased, from = struct.unpack('>I5', found[2]), 1
  while from < #arriving and struct.unpack('>I5', arriving, from) <= erased do
    from = from + RECORD
  end
  arriving = string.sub(arriving, from)
end
if arriving == '' then return 0 end
local merged, new
if held == '' or before(held, #held - RECORD + 1, arriving, 1) then
  merged, new = held .. arriving, #arriving / RECORD
else
  local parts, copied = {}, 0  -- bytes of held that are in parts
  new = 0
  for at = 1, #arriving, RECORD do
    local low, high = copied / RECORD, #held / RECORD
    while low < high do
      local middle = math.floor((low + high) / 2)
      if before(held, middle * RECORD + 1, arriving, at) then low = middle + 1
      else high = middle end
    end
    local place, record = low * RECORD, string.sub(arriving, at, at + RECORD - 1)
    if string.sub(held, place + 1, place + RECORD) ~= record then
      parts[#parts + 1] = string.sub(held, copied + 1, place)
      parts[#parts + 1] = record
      copied, new = place, new + 1
    end
  end
  if new == 0 then return 0 end
  parts[#parts + 1] = string.sub(held, copied + 1)
  merged = table.concat(parts)
end
if ARGV[7] == '1' then
  local seen, kept = {}, {}
  for at = #merged - RECORD + 1, 1, -RECORD do
    local tail = string.sub(merged, at + 8, at + RECORD - 1)
    if not seen[tail] then table.insert(kept, 1, string.sub(merged, at, at + RECORD - 1)) end
    seen[tail] = true
  end
  merged = table.concat(kept)
end
merged = string.sub(merged, -keep)
if merged == held then return new end
local length, header = #merged, string.char(10)
while length >= 128 do
  header = header .. string.char(length % 128 + 128)
  length = math.floor(length / 128)
end
local value = header .. string.char(length) .. merged
redis.call('HSET', KEYS[1], ARGV[1], value, ARGV[2], ARGV[3])
if tonumber(ARGV[6]) > 0 then redis.call('EXPIRE', KEYS[1], ARGV[6]) end
return new
""")

APPEND = Script("""
-- KEYS: entity. ARGV: field of the records, field of the timestamp, timestamp,
-- one record, bytes to keep, seconds to live or 0, expected records.
-- Appends the record if the expected ones are held. Gives what was held, but for the erased.
local found = redis.call('HMGET', KEYS[1], ARGV[1], '_erased')
if found[2] and struct.unpack('>I5', ARGV[4]) <= struct.unpack('>I5', found[2]) then
  return false
end
local held = ''
if found[1] and #found[1] > 1 then
  local at = 2
  while string.byte(found[1], at) >= 128 do at = at + 1 end
  held = string.sub(found[1], at + 1)
end
if held ~= ARGV[7] then return held end
local records = string.sub(held .. ARGV[4], -tonumber(ARGV[5]))
local length, header = #records, string.char(10)
while length >= 128 do
  header = header .. string.char(length % 128 + 128)
  length = math.floor(length / 128)
end
local value = header .. string.char(length) .. records
redis.call('HSET', KEYS[1], ARGV[1], value, ARGV[2], ARGV[3])
if tonumber(ARGV[6]) > 0 then redis.call('EXPIRE', KEYS[1], ARGV[6]) end
return held
""")

ERASE = Script("""
-- KEYS: entity. ARGV: tick, 5 bytes. Removes every view's row; of two tombstones the later stays.
local held, erased = redis.call('HGET', KEYS[1], '_erased'), ARGV[1]
if held and struct.unpack('>I5', held) > struct.unpack('>I5', erased) then erased = held end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], '_erased', erased)
return 1
""")

NOTE = Script("""
-- KEYS: applied position, sorted set of the single positions behind it.
-- ARGV: a position up to which everything is applied, single positions.
local applied = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), tonumber(ARGV[1]))
for at = 2, #ARGV do
  local position = tonumber(ARGV[at])
  if position == applied + 1 then applied = position
  elseif position > applied then redis.call('ZADD', KEYS[2], ARGV[at], ARGV[at]) end
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', applied))
repeat
  local noted, folded = redis.call('ZRANGE', KEYS[2], 0, 255), 0
  while noted[folded + 1] and tonumber(noted[folded + 1]) == applied + 1 do
    applied, folded = applied + 1, folded + 1
  end
  if folded > 0 then redis.call('ZREMRANGEBYRANK', KEYS[2], 0, folded - 1) end
until folded < 256
redis.call('SET', KEYS[1], string.format('%.0f', applied))
return 1
""")

NOTED = Script("""
-- KEYS as for NOTE. ARGV: a position, a limit.
-- Gives the applied position and, in order, single positions behind it and behind the given one.
local applied = redis.call('GET', KEYS[1]) or '0'
local noted = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[1], '+inf', 'LIMIT', 0, ARGV[2])
return {applied, noted}
""")
