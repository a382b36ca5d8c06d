-- Takes the lease of the one exporter at a time, unless somebody holds it, and reads how far the export is.
--
-- KEYS 1 state of the audit log (a hash)
-- ARGV 1 owner: unlike any other run
--      2 length of the lease in ms
-- Returns {time in ms, field, value, field, value, ...}, or {} when another run holds the lease.
--
-- Invariant: one live lease at a time, by Redis' clock. It saves work and no more: what is written twice is refused by
-- the blob. A lease that ends later than one given now is none (the clock was set back).

-- TIME comes before the writes: Redis 5 and 6 can be set to replicate scripts verbatim and would refuse that.
if redis.replicate_commands then redis.replicate_commands() end

local owner, lease_ms = ARGV[1], tonumber(ARGV[2])
local clock = redis.call('TIME')
local now_ms = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'hash' and kind ~= 'none' then redis.call('DEL', KEYS[1]) end
local until_ms = tonumber(redis.call('HGET', KEYS[1], 'until_ms')) or 0
local holder = redis.call('HGET', KEYS[1], 'exporter')
if holder ~= owner and until_ms > now_ms and until_ms <= now_ms + lease_ms then return {} end

redis.call('HSET', KEYS[1], 'exporter', owner, 'until_ms', string.format('%.0f', now_ms + lease_ms))
-- Of an app that never succeeds it is told how long it has been trying.
if not redis.call('HGET', KEYS[1], 'ok_ms') then redis.call('HSET', KEYS[1], 'ok_ms', string.format('%.0f', now_ms)) end
local reply = { now_ms }
for _, text in ipairs(redis.call('HGETALL', KEYS[1])) do table.insert(reply, text) end
return reply
