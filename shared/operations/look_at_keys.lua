-- TTL, idle time and size of keys, without reading their values.
--
-- KEYS     keys of any type, at most a few hundred
-- ARGV[1]  '1' to measure their sizes too
--
-- Returns a flat array, per key: TTL in ms (-1: no TTL, -2: no such key), seconds since it was last read or written
-- (-1: not known, as under an LFU policy), and with ARGV[1] its size in bytes (-1: not known). Redis measures 5 elements
-- of a collection and extrapolates.
--
-- Invariant: changes nothing and does not reset idle times.

local sizes, idle_known = ARGV[1] == '1', true
local answer = {}
for _, key in ipairs(KEYS) do
  local ttl_ms = redis.call('PTTL', key)
  answer[#answer + 1] = ttl_ms
  local idle_s = idle_known and ttl_ms ~= -2 and redis.pcall('OBJECT', 'IDLETIME', key)
  idle_known = type(idle_s) ~= 'table'
  answer[#answer + 1] = type(idle_s) == 'number' and idle_s or -1
  if sizes then
    local bytes = redis.pcall('MEMORY', 'USAGE', key)
    answer[#answer + 1] = type(bytes) == 'number' and bytes or -1
  end
end
return answer
