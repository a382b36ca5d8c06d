-- Takes the exporter's lease, unless another run has it, and reads the state of the export.
--
-- KEYS 1 state of the audit log (a hash)
-- ARGV 1 owner: unique to this run
--      2 length of the lease in ms
--      3 ... fields to return; one of more than MAX_FIELD_BYTES counts as missing
-- Returns {time in ms, field, value, field, value, ...}, or {} if another run has the lease.
--
-- Invariant: at most one live lease, by Redis' clock. The lease only saves work: the blob refuses a second append at
-- the same position. A lease that ends later than a new one would is void: the clock was set back.

-- TIME precedes writes: Redis 5 and 6 refuse that when they are set to replicate scripts verbatim.
if redis.replicate_commands then redis.replicate_commands() end

local MAX_FIELD_BYTES = 16384

local owner, lease_ms = ARGV[1], tonumber(ARGV[2])
local clock = redis.call('TIME')
local now_ms = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'hash' and kind ~= 'none' then redis.call('DEL', KEYS[1]) end
local until_ms = tonumber(redis.call('HGET', KEYS[1], 'until_ms')) or 0
local holder = redis.call('HGET', KEYS[1], 'exporter')
if holder ~= owner and until_ms > now_ms and until_ms <= now_ms + lease_ms then return {} end

redis.call('HSET', KEYS[1], 'exporter', owner, 'until_ms', string.format('%.0f', now_ms + lease_ms))
-- An app whose export never succeeds reports the time since its first attempt.
if not redis.call('HGET', KEYS[1], 'ok_ms') then redis.call('HSET', KEYS[1], 'ok_ms', string.format('%.0f', now_ms)) end
local reply = { now_ms }
for position = 3, #ARGV do
  local name = ARGV[position]
  if redis.call('HSTRLEN', KEYS[1], name) <= MAX_FIELD_BYTES then
    local value = redis.call('HGET', KEYS[1], name)
    if value then
      table.insert(reply, name)
      table.insert(reply, value)
    end
  end
end
return reply
