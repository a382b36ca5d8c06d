-- Reads one hash of the statistics.
--
-- KEYS 1 the hash of a minute, ten minutes or an hour, or of the totals
-- ARGV 1 most fields that such a hash of ours can have
--      2 most digits of a count
-- Returns field, value, ... of what can be a count (see telemetry/minute_counts.py). A key of another type, with more fields than that
--        or with larger ones is another application's and reads as an empty one.
--
-- Invariant: reads only, and no more than ARGV 1 fields of MAX_FIELD_BYTES on average.

local MAX_FIELD_BYTES = 400 -- in memory

local counts = {}
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' or redis.call('HLEN', KEYS[1]) > tonumber(ARGV[1]) then return counts end
if redis.call('MEMORY', 'USAGE', KEYS[1], 'SAMPLES', 0) > 4096 + MAX_FIELD_BYTES * tonumber(ARGV[1]) then return counts end
local found = redis.call('HGETALL', KEYS[1])
for position = 1, #found, 2 do
  local name, count = found[position], found[position + 1]
  if #name <= 64 and #count <= tonumber(ARGV[2]) and count:find('^%d+$') then
    counts[#counts + 1] = name
    counts[#counts + 1] = count
  end
end
return counts
