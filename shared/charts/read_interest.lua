-- The charts that dashboards watch, and forget those that they named too long ago.
--
-- KEYS[1]  interest: sorted set of {chartId}:{dataType} by the time in ms, by the dashboards' clocks
-- ARGV[1]  how long a name counts, in ms
-- ARGV[2]  how many names at most; a key with 20 times as many is removed
-- ARGV[3]  TTL of the key in s
-- ARGV[4]  longest name in bytes
--
-- Returns name, time in ms (at most now), name, time, ...: the latest first.
--
-- Invariant: bounded whatever clients write: a key of another type, with huge names or with very many is removed. A time
-- ahead of now becomes now, or its chart would be watched for longer than anybody watches it.

-- TIME must precede all writes: see take_due_sessions.lua.
if redis.replicate_commands then redis.replicate_commands() end

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'none' then return {} end

local function bounded()
  local names = redis.call('ZCARD', KEYS[1])
  if names > 20 * tonumber(ARGV[2]) then return false end
  -- The first 64 members are measured before any is loaded.
  return redis.call('MEMORY', 'USAGE', KEYS[1], 'SAMPLES', 64) <= 2 * tonumber(ARGV[4]) * (64 + names)
end

if kind ~= 'zset' or not bounded() then
  redis.call('UNLINK', KEYS[1])
  return {}
end
local latest = string.format('%.0f', now)
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. latest, '+inf', 'LIMIT', 0, ARGV[2])) do
  redis.call('ZADD', KEYS[1], 'XX', latest, name)
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
