-- Writes a chart's cache, drops the query caches that depend on it and says so, if the source is still what was read.
--
-- KEYS[1]  source: fabric:data:chart:{chartId}:{dataType}
-- KEYS[2]  cache: fabric:cache:chart:{chartId}:{dataType}
-- KEYS[3]  and further: query caches that depend on the chart
-- ARGV[1]  SHA-1 in hex of the source that was read
-- ARGV[2]  first bytes of a fresh cache, up to its source digest
-- ARGV[3]  the new cache
-- ARGV[4]  its time to live, in seconds
-- ARGV[5]  channel of the message
-- ARGV[6]  the message
--
-- Returns
--   'moved'      the source is another or gone by now; nothing was written
--   'same'       the cache is fresh and of this source already; nothing was written
--   'committed'  everything was written
--
-- Invariant: a cache is only ever written from the source that is live at that moment, so it never goes back to an
-- older one; and each content is committed and announced once, however many workers read it.

-- pcall: a source of another type has moved on.
local value = redis.pcall('GET', KEYS[1])
if type(value) ~= 'string' or redis.sha1hex(value) ~= ARGV[1] then
  return 'moved'
end
local fresh = ARGV[2] .. ARGV[1] .. '"'
if redis.pcall('GETRANGE', KEYS[2], 0, #fresh - 1) == fresh then
  return 'same'
end
-- First what Redis may refuse to this user: nothing was written then. Nobody sees the order inside of a script.
redis.call('PUBLISH', ARGV[5], ARGV[6])
redis.call('SET', KEYS[2], ARGV[3], 'EX', ARGV[4])
if #KEYS > 2 then
  redis.call('UNLINK', unpack(KEYS, 3))
end
return 'committed'
