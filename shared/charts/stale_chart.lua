-- Mark the cache of a chart whose source is gone as stale.
--
-- KEYS[1]  source: fabric:data:chart:{chartId}:{dataType}
-- KEYS[2]  cache: fabric:cache:chart:{chartId}:{dataType}
-- ARGV[1]  first bytes of a fresh cache
-- ARGV[2]  first bytes of a stale cache, of the same length
-- ARGV[3]  position of the text before the time since which it is stale
-- ARGV[4]  that text
-- ARGV[5]  the time, as JSON, as long as the value that it replaces
-- ARGV[6]  how long the cache is kept from now on, in s; 0 for the rest of its TTL
--
-- Returns
--   'live'     the source exists; nothing was written
--   'none'     there is no fresh cache (no cache, or a stale one); nothing was written
--   'marked'   the cache was fresh and is stale now
--
-- Invariant: the rest of the cache does not change. A cache of an earlier version, without the time, gets none.

if redis.call('EXISTS', KEYS[1]) == 1 then
  return 'live'
end
-- pcall: a key of another type is not a cache.
if redis.pcall('GETRANGE', KEYS[2], 0, #ARGV[1] - 1) ~= ARGV[1] then
  return 'none'
end
local at = tonumber(ARGV[3])
if redis.call('GETRANGE', KEYS[2], at, at + #ARGV[4] - 1) == ARGV[4] then
  redis.call('SETRANGE', KEYS[2], at + #ARGV[4], ARGV[5])
end
if ARGV[6] ~= '0' then redis.call('EXPIRE', KEYS[2], ARGV[6]) end
redis.call('SETRANGE', KEYS[2], 0, ARGV[2])
return 'marked'
