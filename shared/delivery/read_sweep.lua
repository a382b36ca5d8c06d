-- Read the state of the sweep.
--
-- KEYS   1 state of the pass: hash
-- ARGV   1 ... fields to return
-- Returns {time in ms, value, ...}, in the order of the fields; '' for one that is missing or larger than this app writes.
--        A key of another type is an error.
--
-- Invariant: reads only.

local MAX_FIELD_BYTES = 4096 -- as in sweep_acquire.lua

local clock = redis.call('TIME')
local reply = { tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000) }
for index, name in ipairs(ARGV) do
  reply[index + 1] = redis.call('HSTRLEN', KEYS[1], name) <= MAX_FIELD_BYTES and redis.call('HGET', KEYS[1], name) or ''
end
return reply
