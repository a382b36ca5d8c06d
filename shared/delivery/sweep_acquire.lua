-- Take the lease for a reconciliation pass, unless another instance holds it or nothing is due.
--
-- KEYS   1 state of the pass: hash
-- ARGV   1 owner, for operators who read the state
--        2 length of the lease in ms
--        3 TTL of the state in s
--        4 "1" to begin a pass if none is in progress, "0" only to continue one
--        5 "1" to respect the rest after a slice of a paced pass
-- Returns {token, time in ms, position of an unfinished pass or '', ms since the end of the last rest or 0}, {} if
-- another instance holds the lease, or {0} if nothing is due by ARGV 4 and 5.
--
-- Invariant: one live lease at a time, by Redis' clock. Tokens only grow: each is Redis' time in ms, or the last token
-- plus 1, so a holder from before a FLUSHALL never has the token of a later lease. A lease that ends later than a new
-- one would is ignored, and so is a rest of more than MAX_REST_MS: they were written before the clock was set back, and
-- could block every pass for hours. If Redis refuses a command, there is no lease.

-- TIME must precede all writes: Redis 5 and 6 can be configured to replicate scripts verbatim, and then refuse a write
-- after it.
if redis.replicate_commands then redis.replicate_commands() end

local owner, lease_ms, ttl_s = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local begin, paced = ARGV[4] == '1', ARGV[5] == '1'
local MAX_REST_MS = 120 * 1000 -- as in reconcile.py
local MAX_FIELD_BYTES = 4096
local clock = redis.call('TIME')
local now_ms = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then redis.call('DEL', KEYS[1]) end
-- A field larger than this app writes is another application's, and is not loaded.
local function field(name)
  return redis.call('HSTRLEN', KEYS[1], name) <= MAX_FIELD_BYTES and redis.call('HGET', KEYS[1], name) or ''
end
local function number(text) return text:find('^%d+$') and #text <= 15 and tonumber(text) or 0 end

local until_ms = number(field('until_ms'))
if until_ms > now_ms and until_ms <= now_ms + lease_ms then return {} end

local position, rest_ms = field('position'), number(field('rest_until_ms'))
if rest_ms > now_ms + MAX_REST_MS then rest_ms = 0 end
if (position == '' and not begin) or (paced and rest_ms > now_ms) then return {0} end

redis.call('EXPIRE', KEYS[1], ttl_s) -- first, because it may be refused: then the lease is not taken
local token = string.format('%.0f', math.max(number(field('token')) + 1, now_ms))
redis.call('HSET', KEYS[1], 'owner', owner, 'token', token, 'until_ms', string.format('%.0f', now_ms + lease_ms))
return {token, now_ms, position, rest_ms > 0 and math.max(0, now_ms - rest_ms) or 0}
