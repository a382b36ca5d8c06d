-- Takes the lease of the one sweep at a time, unless somebody holds it.
--
-- KEYS 1 the sweep's state (a hash)
-- ARGV 1 owner, for whoever looks at the state
--      2 length of the lease in ms
--      3 time to live of the state in s
-- Returns {token, time in ms, position of an unfinished round or ''}, or {} when another holds the lease.
--
-- Invariant: one live lease at a time, by Redis' clock. Tokens only grow; they are Redis' time in ms, or one more than
-- the last one within a ms, so that a holder from before a FLUSHALL has none of those given after it. A lease that ends
-- later than one given now would is no lease (the clock was set back): it could stop every sweep for hours.

-- TIME comes before the writes: Redis 5 and 6 can be set to replicate scripts verbatim and would refuse that.
if redis.replicate_commands then redis.replicate_commands() end

local owner, lease_ms, ttl_s = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now_ms = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then redis.call('DEL', KEYS[1]) end
local until_ms = tonumber(redis.call('HGET', KEYS[1], 'until_ms')) or 0
if until_ms > now_ms and until_ms <= now_ms + lease_ms then return {} end

local last = tonumber(redis.call('HGET', KEYS[1], 'token')) or 0
local token = string.format('%.0f', math.max(last + 1, now_ms))
redis.call('HSET', KEYS[1], 'owner', owner, 'token', token, 'until_ms', string.format('%.0f', now_ms + lease_ms))
redis.call('EXPIRE', KEYS[1], ttl_s)
return {token, now_ms, redis.call('HGET', KEYS[1], 'position') or ''}
