-- What can be told of keys without reading their values, nor counting as a use of them.
--
-- KEYS     keys of any type, a few hundred at the most
-- ARGV[1]  '1' to measure their sizes too
--
-- Returns a flat array, per key: what is left of its life in ms (-1: no TTL, -2: no such key), seconds since it was last
-- read or written (-1: not known, as under an LFU policy), and with ARGV[1] its size in bytes, -1 where Redis does not
-- tell. Of a collection Redis measures 5 elements and estimates the rest.
--
-- Invariant: changes nothing and renews no idle time.

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
