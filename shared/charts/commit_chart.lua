-- Commit a chart's cache, delete the query caches that depend on it and publish a message, unless the cache is newer.
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
-- ARGV[7]  text between the source digest of a cache and its revision
-- ARGV[8]  revision of the source that was read: see read_chart.lua
--
-- Returns
--   'gone'       there is no source; nothing was written
--   'same'       the cache is fresh and from this source already; only its revision was raised to ARGV[8]
--   'older'      the cache is of a later read; nothing was written
--   'committed'  everything was written
--
-- Invariant: a cache is never replaced by one of older content: see read_chart.lua. The source may have changed since;
-- its writer's event brings the next version. So a source that is written faster than it is rendered has a cache that
-- follows it, and no commit depends on the size of what is there now. Each content is committed and announced once,
-- however many workers read it. If Redis refuses a command (full, read-only, an ACL), there is neither cache nor message.

local DIGITS, DIGEST_BYTES = 16, 40
local LAST_REVISION = 2 ^ 53 - 1

if redis.call('EXISTS', KEYS[1]) == 0 then
  return 'gone'
end
-- pcall: a key of another type is no cache.
local head = redis.pcall('GETRANGE', KEYS[2], 0, #ARGV[2] + DIGEST_BYTES + #ARGV[7] + DIGITS - 1)
if type(head) ~= 'string' then
  head = ''
end
local at = #ARGV[2] + DIGEST_BYTES + 1
local cached = head:sub(at, at + #ARGV[7] - 1) == ARGV[7] and tonumber(head:sub(at + #ARGV[7]):match('^%d+$') or '')
local newer = not cached or cached >= LAST_REVISION or cached < tonumber(ARGV[8])
if head:sub(1, at - 1) == ARGV[2] .. ARGV[1] then
  if cached and newer then
    redis.pcall('SETRANGE', KEYS[2], at - 1 + #ARGV[7], ARGV[8])
  end
  return 'same'
end
if not newer then
  return 'older'
end
-- Redis undoes nothing when it refuses a command midway, and a message cannot be taken back. So a SET that changes
-- nothing comes first. Clients cannot observe the order of commands within a script.
redis.call('SET', KEYS[2], '', head == '' and redis.call('EXISTS', KEYS[2]) == 0 and 'XX' or 'NX')
if #KEYS > 2 then
  redis.call('UNLINK', unpack(KEYS, 3))
end
redis.call('PUBLISH', ARGV[5], ARGV[6])
redis.call('SET', KEYS[2], ARGV[3], 'EX', ARGV[4])
return 'committed'
