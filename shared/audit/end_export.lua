-- Ends a run of the exporter: notes how it went and gives the lease back.
--
-- KEYS 1 state of the audit log (a hash)
-- ARGV 1 owner
--      2 class of the error that ended it; '' for none
--      3 1 when storage took or confirmed what there was
-- Returns 1.
--
-- Invariant: a lease that another run has taken since stays that run's.

-- TIME comes before the writes: Redis 5 and 6 can be set to replicate scripts verbatim and would refuse that.
if redis.replicate_commands then redis.replicate_commands() end

local clock = redis.call('TIME')
local now_ms = string.format('%.0f', tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000))
redis.call('HSET', KEYS[1], 'error', ARGV[2])
if ARGV[3] == '1' then redis.call('HSET', KEYS[1], 'ok_ms', now_ms) end
if redis.call('HGET', KEYS[1], 'exporter') == ARGV[1] then redis.call('HDEL', KEYS[1], 'exporter', 'until_ms') end
return 1
