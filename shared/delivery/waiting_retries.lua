-- Which of these members wait for a retry that is not due yet.
--
-- KEYS   1 due times: sorted set, member to ms
-- ARGV   1 longest delay in ms: a member that is due later is due now (take_due_retries.lua)
--        2 ... members
-- Returns the positions among the members, from 1, of those that wait.
--
-- Invariant: writes nothing.

local clock = redis.call('TIME')
local now_ms = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local positions = {}
if redis.call('TYPE', KEYS[1]).ok == 'zset' then
  for index = 2, #ARGV do
    local due_ms = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[index]) or 0)
    if due_ms > now_ms and due_ms <= now_ms + tonumber(ARGV[1]) then positions[#positions + 1] = index - 1 end
  end
end
return positions
