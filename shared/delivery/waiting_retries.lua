-- Which of these members wait for a retry that is not due yet.
--
-- KEYS   1 due times: sorted set, member to ms
-- ARGV   members
-- Returns the positions in ARGV, from 1, of the waiting members.
--
-- Invariant: writes nothing.

local clock = redis.call('TIME')
local now_ms = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local positions = {}
if redis.call('TYPE', KEYS[1]).ok == 'zset' then
  for index, member in ipairs(ARGV) do
    if tonumber(redis.call('ZSCORE', KEYS[1], member) or 0) > now_ms then positions[#positions + 1] = index end
  end
end
return positions
