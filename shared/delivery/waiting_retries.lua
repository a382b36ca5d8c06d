-- Which of these keys wait for a retry that is not due yet.
--
-- KEYS   1 due times (a sorted set, in ms)
-- ARGV   the members
-- Returns the positions in ARGV, from 1, of those that wait.
--
-- Invariant: writes nothing.

local clock = redis.call('TIME')
local now_ms = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local found = {}
if redis.call('TYPE', KEYS[1]).ok == 'zset' then
  for index, member in ipairs(ARGV) do
    if tonumber(redis.call('ZSCORE', KEYS[1], member) or 0) > now_ms then found[#found + 1] = index end
  end
end
return found
