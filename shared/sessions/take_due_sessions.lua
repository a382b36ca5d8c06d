-- Takes due sessions, and postpones each of them by a lease.
--
-- KEYS[1]  due times: a sorted set of sealed tokens by the time in ms at which their sessions are due
-- ARGV[1]  how many sessions at most
-- ARGV[2]  lease in ms
--
-- Returns the sealed tokens, the earliest due time first.
--
-- Invariant: a session is taken once per lease; apply_session.lua then sets its next due time. If the caller dies,
-- the session is due again after the lease.

-- TIME precedes writes. Redis 5 and 6 refuse that when they are set to replicate scripts verbatim
-- (lua-replicate-commands no); from Redis 7 on effects are always replicated, and this call does nothing.
if redis.replicate_commands then redis.replicate_commands() end

local clock = redis.call('TIME')
local now_ms = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'zset' then return {} end
-- The first 64 members are measured: one of 300 MB, from another application, blocks Redis for more than a second. The
-- next sweep restores the due times.
if redis.call('MEMORY', 'USAGE', KEYS[1], 'SAMPLES', 64) > 262144 * redis.call('ZCARD', KEYS[1]) then
  redis.call('UNLINK', KEYS[1])
  return {}
end
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now_ms), 'LIMIT', 0, ARGV[1])
for _, member in ipairs(due) do
  redis.call('ZADD', KEYS[1], 'XX', string.format('%.0f', now_ms + ARGV[2]), member)
end
return due
