-- Reads the state of the audit log.
--
-- KEYS 1 state of the audit log (a hash)
--      2 the audit stream
-- ARGV 1 ... fields to return; one of more than MAX_FIELD_BYTES counts as missing
-- Returns {time in us, length of the stream, field, value, field, value, ...}. A key of another type is an error.
--
-- Invariant: reads only.

local MAX_FIELD_BYTES = 16384

local clock = redis.call('TIME')
local reply = { tonumber(clock[1]) * 1000000 + tonumber(clock[2]), redis.call('XLEN', KEYS[2]) }
for _, name in ipairs(ARGV) do
  if redis.call('HSTRLEN', KEYS[1], name) <= MAX_FIELD_BYTES then
    local value = redis.call('HGET', KEYS[1], name)
    if value then
      table.insert(reply, name)
      table.insert(reply, value)
    end
  end
end
return reply
