-- Reads the newest records of the audit stream.
--
-- KEYS 1 the audit stream
-- ARGV 1 how many entries at most
--      2 largest record that is returned, in bytes
-- Returns the field `event` of each entry, newest first. Entries without it and larger records are left out. A key of
-- another type counts as an empty stream.
--
-- Invariant: reads only.

-- Whether somebody has put large entries into the stream: see read_audit.lua. Of a long stream, this does not show those at
-- its end.
local function is_oversized(key)
  return redis.call('MEMORY', 'USAGE', key, 'SAMPLES', 600) > 8388608 + 6144 * redis.call('XLEN', key)
end

local events = {}
if redis.call('TYPE', KEYS[1]).ok ~= 'stream' or is_oversized(KEYS[1]) then return events end
for _, entry in ipairs(redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', tonumber(ARGV[1]))) do
  local fields = entry[2]
  for position = 1, #fields, 2 do
    if fields[position] == 'event' and #fields[position + 1] <= tonumber(ARGV[2]) then
      events[#events + 1] = fields[position + 1]
      break
    end
  end
end
return events
