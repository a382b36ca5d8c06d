-- Reads the newest effects of the feed.
--
-- KEYS 1 the feed: a stream
-- ARGV 1 how many effects at most
--      2 largest effect that is returned, in bytes
--      3 id of the newest effect that the caller has, '-' for none
-- Returns id, effect, ... of the effects after that one, newest first. Larger ones are left out. A key of another type, or
--        one that holds more than its writer keeps, is another application's and counts as an empty one.
--
-- Invariant: reads only, and at most 4 MiB.

local count = tonumber(ARGV[1])
local effects = {}
if redis.call('TYPE', KEYS[1]).ok ~= 'stream' or redis.call('XLEN', KEYS[1]) > 2 * count then return effects end
if redis.call('MEMORY', 'USAGE', KEYS[1], 'SAMPLES', 0) > 4194304 then return effects end
for _, entry in ipairs(redis.call('XREVRANGE', KEYS[1], '+', ARGV[3], 'COUNT', count)) do
  if entry[1] ~= ARGV[3] and entry[2][1] == 'effect' and #entry[2][2] <= tonumber(ARGV[2]) then
    effects[#effects + 1] = entry[1]
    effects[#effects + 1] = entry[2][2]
  end
end
return effects
