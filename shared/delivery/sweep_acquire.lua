-- Take the lease for a reconciliation pass, unless another instance holds it.
--
-- KEYS   1 state of the pass: hash
-- ARGV   1 owner, for operators who read the state
--        2 length of the lease in ms
--        3 TTL of the state in s
-- Returns {token, time in ms, position of an unfinished pass or ''}, or {} if another instance holds the lease.
--
-- Invariant: one live lease at a time, by Redis' clock. Tokens only grow: each is Redis' time in ms, or the last token
-- plus 1, so a holder from before a FLUSHALL never has the token of a later lease. A lease that ends later than a new
-- one would is ignored: it was written before the clock was set back, and could block every pass for hours. If Redis
-- refuses a command, there is no lease.

-- TIME must precede all writes: Redis 5 and 6 can be configured to replicate scripts verbatim, and then refuse a write
-- after it.
if redis.replicate_commands then redis.replicate_commands() end

local owner, lease_ms, ttl_s = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now_ms = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then redis.call('DEL', KEYS[1]) end
local until_ms = tonumber(redis.call('HGET', KEYS[1], 'until_ms')) or 0
if until_ms > now_ms and until_ms <= now_ms + lease_ms then return {} end

local last = redis.call('HGET', KEYS[1], 'token') or ''
last = last:find('^%d+$') and #last <= 15 and tonumber(last) or 0 -- a longer one is another application's
redis.call('EXPIRE', KEYS[1], ttl_s) -- first, because it may be refused: then the lease is not taken
local token = string.format('%.0f', math.max(last + 1, now_ms))
redis.call('HSET', KEYS[1], 'owner', owner, 'token', token, 'until_ms', string.format('%.0f', now_ms + lease_ms))
redis.call('EXPIRE', KEYS[1], ttl_s)
return {token, now_ms, redis.call('HGET', KEYS[1], 'position') or ''}
