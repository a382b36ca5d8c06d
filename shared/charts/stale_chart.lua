-- Mark the cache of a chart whose source is gone as stale.
--
-- KEYS[1]  source: fabric:data:chart:{chartId}:{dataType}
-- KEYS[2]  cache: fabric:cache:chart:{chartId}:{dataType}
-- ARGV[1]  first bytes of a fresh cache
-- ARGV[2]  first bytes of a stale cache, of the same length
--
-- Returns
--   'live'     the source exists; nothing was written
--   'none'     there is no fresh cache (no cache, or a stale one); nothing was written
--   'marked'   the cache was fresh and is stale now
--
-- Invariant: the rest of the cache and its TTL do not change.

if redis.call('EXISTS', KEYS[1]) == 1 then
  return 'live'
end
-- pcall: a key of another type is not a cache.
if redis.pcall('GETRANGE', KEYS[2], 0, #ARGV[1] - 1) ~= ARGV[1] then
  return 'none'
end
redis.call('SETRANGE', KEYS[2], 0, ARGV[2])
return 'marked'
