-- Read fields of the state of a chart or of a source.
--
-- KEYS[1]  hash
-- ARGV     names of fields
--
-- Returns {now in ms, value or false, ...}: false for a field that is absent, or longer than this app writes any.
--
-- Invariant: writes nothing, and loads nothing large. A key of another type has no fields.

local clock = redis.call('TIME')
local reply = { tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000) }
for at, name in ipairs(ARGV) do
  local length = redis.pcall('HSTRLEN', KEYS[1], name)
  reply[at + 1] = type(length) == 'number' and length <= 500 and redis.call('HGET', KEYS[1], name) or false
end
return reply
