-- Ends a run of the exporter: records its result and releases its lease.
--
-- KEYS 1 state of the audit log (a hash)
-- ARGV 1 owner
--      2 class of the error that ended it; '' for none
--      3 1 if the run wrote to storage or had nothing to write
-- Returns 1.
--
-- Invariant: a lease that another run has taken meanwhile is not released.

-- TIME precedes writes: Redis 5 and 6 refuse that when they are set to replicate scripts verbatim.
if redis.replicate_commands then redis.replicate_commands() end

local clock = redis.call('TIME')
local now_ms = string.format('%.0f', tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000))
redis.call('HSET', KEYS[1], 'error', ARGV[2])
if ARGV[3] == '1' then redis.call('HSET', KEYS[1], 'ok_ms', now_ms) end
if redis.call('HGET', KEYS[1], 'exporter') == ARGV[1] then redis.call('HDEL', KEYS[1], 'exporter', 'until_ms') end
return 1
