-- Commit a chart's cache, delete the query caches that depend on it and publish a message, if the source is unchanged.
--
-- KEYS[1]  source: fabric:data:chart:{chartId}:{dataType}
-- KEYS[2]  cache: fabric:cache:chart:{chartId}:{dataType}
-- KEYS[3]  ... query caches that depend on the chart
-- ARGV[1]  SHA-1 in hex of the source that was read
-- ARGV[2]  first bytes of a fresh cache, up to its source digest
-- ARGV[3]  the new cache
-- ARGV[4]  TTL of the cache in s
-- ARGV[5]  channel of the message
-- ARGV[6]  the message
--
-- Returns
--   'moved'      the source has changed or is gone; nothing was written
--   'same'       the cache is fresh and from this source already; nothing was written
--   'committed'  everything was written
--
-- Invariant: a cache is written only from the source that exists at that moment, so it never goes back to an older one;
-- and each content is committed and announced once, however many workers read it.

-- pcall: a source of another type has changed.
local value = redis.pcall('GET', KEYS[1])
if type(value) ~= 'string' or redis.sha1hex(value) ~= ARGV[1] then
  return 'moved'
end
local fresh = ARGV[2] .. ARGV[1] .. '"'
if redis.pcall('GETRANGE', KEYS[2], 0, #fresh - 1) == fresh then
  return 'same'
end
-- PUBLISH comes first: an ACL may forbid it, and then nothing has been written. Clients cannot observe the order of
-- commands within a script.
redis.call('PUBLISH', ARGV[5], ARGV[6])
redis.call('SET', KEYS[2], ARGV[3], 'EX', ARGV[4])
if #KEYS > 2 then
  redis.call('UNLINK', unpack(KEYS, 3))
end
return 'committed'
