-- The charts that dashboards watch, and forget those that they named too long ago.
--
-- KEYS[1]  interest: sorted set of {chartId}:{dataType} by the time in ms, by the dashboards' clocks
-- ARGV[1]  how long a name counts, in ms
-- ARGV[2]  how many names at most
-- ARGV[3]  TTL of the key in s
-- ARGV[4]  longest name in bytes
--
-- Returns name, time in ms (at most now), name, time, ...: the latest first.
--
-- Invariant: bounded whatever clients write: a key of another type or with huge names is removed.

-- TIME must precede all writes: see take_due_sessions.lua.
if redis.replicate_commands then redis.replicate_commands() end

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'none' then return {} end
-- The first 64 members are measured before any is loaded.
local most = 2 * tonumber(ARGV[4])
if kind ~= 'zset' or redis.call('MEMORY', 'USAGE', KEYS[1], 'SAMPLES', 64) > most * (64 + redis.call('ZCARD', KEYS[1])) then
  redis.call('UNLINK', KEYS[1])
  return {}
end
local oldest = string.format('%.0f', now - tonumber(ARGV[1]))
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', oldest)
redis.call('EXPIRE', KEYS[1], ARGV[3])
local reply = {}
local entries = redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', oldest, 'WITHSCORES', 'LIMIT', 0, ARGV[2])
for at = 1, #entries, 2 do
  if #entries[at] <= tonumber(ARGV[4]) then
    reply[#reply + 1] = entries[at]
    reply[#reply + 1] = string.format('%.0f', math.min(tonumber(entries[at + 1]), now))
  end
end
return reply
