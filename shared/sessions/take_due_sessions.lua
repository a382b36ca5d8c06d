-- Takes the sessions that are due for a look, and puts each back to be due again after a lease.
--
-- KEYS[1]  sealed tokens by the time in ms at which their sessions are due: a sorted set
-- ARGV[1]  how many at the most
-- ARGV[2]  lease in ms
--
-- Returns the sealed tokens, the longest due first.
--
-- Invariant: what is taken is not taken again until its lease ends; the look itself sets the next due time. A taker
-- that dies forgets nothing.

-- TIME comes before the writes: see session_transition.lua.
if redis.replicate_commands then redis.replicate_commands() end

local clock = redis.call('TIME')
local now_ms = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'zset' then return {} end
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now_ms), 'LIMIT', 0, ARGV[1])
for _, member in ipairs(due) do
  redis.call('ZADD', KEYS[1], 'XX', string.format('%.0f', now_ms + ARGV[2]), member)
end
return due
