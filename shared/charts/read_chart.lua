-- Read a chart's source, unless it is too large or its cache is up to date.
--
-- KEYS[1]  source: fabric:data:chart:{chartId}:{dataType}
-- KEYS[2]  cache: fabric:cache:chart:{chartId}:{dataType}
-- KEYS[3]  dead mark: the digest of the content that became a dead letter
-- ARGV[1]  largest source to read, in bytes
-- ARGV[2]  first bytes of a fresh cache, up to its source digest
-- ARGV[3]  TTL of a cache in s
-- ARGV[4]  largest source to read in this call, in bytes
-- ARGV[5]  TTL of a dead mark in s
-- ARGV[6]  text between the source digest of a cache and its revision
-- ARGV[7]  first bytes of a stale cache, as long as those of a fresh one
-- ARGV[8]  text between the revision of a cache and the time since which it is stale
-- ARGV[9]  what a fresh cache has in place of that time, of the same length
--
-- Returns one of
--   {'gone'}                       no source
--   {'type', name}                 the source is not a string
--   {'large', size}                the source has more than ARGV[1] bytes; it was not read
--   {'same'}                       the cache is fresh and from this source; its TTL is ARGV[3] again
--   {'fresh'}                      the same, and it was marked stale until now: the source is back as it was
--   {'dead'}                       this content is a dead letter
--   {'later'}                      the source has more than ARGV[4] bytes: read it in a call of its own
--   {'read', digest, ttl, revision, value}   the source; digest is its SHA-1 in hex, or '' if there was none to compare
--                                  with; ttl is its remaining TTL in ms, negative for none
--
-- A revision orders the versions of a chart's source: 16 digits, Redis' time of the read in us, or the revision of the
-- cache plus 1 where the clock is behind that. Of two reads the later one has the same content or newer, so a cache is
-- never replaced by one of a lower or equal revision (commit_chart.lua).
--
--     read A (revision 7)  write B  read B (8)  commit B  commit A: older, refused
--     read A (revision 7)  write B  commit A: of a version that is gone, but newer than the cache  read B (8)  commit B
--
-- Invariant: changes nothing but the revision of a cache that is of this source (this read of it is the latest), and
-- its mark as stale. The size is checked before the value is read. Hashing takes as long as the rest of the script and blocks Redis, so the
-- reader hashes unless there is a digest to compare with.

-- TIME must precede all writes: Redis 5 and 6 can be configured to replicate scripts verbatim, and then refuse a write
-- after it.
if redis.replicate_commands then redis.replicate_commands() end

local DIGITS, DIGEST_BYTES = 16, 40
local FIRST_REVISION, LAST_REVISION = 1e15, 2 ^ 53 - 1

local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'none' then
  return {'gone'}
end
if kind ~= 'string' then
  return {'type', kind}
end
local size = redis.call('STRLEN', KEYS[1])
-- pcall: a key of another type is no mark and no cache.
local mark = redis.pcall('GETRANGE', KEYS[3], 0, DIGEST_BYTES)
if size > tonumber(ARGV[1]) then
  return mark == '-' and {'dead'} or {'large', size}
end
if size > tonumber(ARGV[4]) then
  return {'later'}
end
local value = redis.call('GET', KEYS[1])
local head = redis.pcall('GETRANGE', KEYS[2], 0, #ARGV[2] + DIGEST_BYTES + #ARGV[6] + DIGITS - 1)
if type(head) ~= 'string' then
  head = ''
end
local stale = head:sub(1, #ARGV[7]) == ARGV[7] and head:sub(#ARGV[7] + 1, #ARGV[2]) == ARGV[2]:sub(#ARGV[7] + 1)
local fresh = head:sub(1, #ARGV[2]) == ARGV[2]
local at = #ARGV[2] + DIGEST_BYTES + 1
local cached = head:sub(at, at + #ARGV[6] - 1) == ARGV[6] and tonumber(head:sub(at + #ARGV[6]):match('^%d+$') or '')
if cached and cached >= LAST_REVISION then
  cached = 0 -- not this app's, and the next one would have more digits than a double holds
end
local clock = redis.call('TIME')
local time_us = tonumber(clock[1]) * 1e6 + tonumber(clock[2])
local revision = string.format('%.0f', math.max(time_us, FIRST_REVISION, (cached or 0) + 1))

local digest = ''
if fresh or stale or mark ~= '' then
  digest = redis.sha1hex(value)
end
if (fresh or stale) and head:sub(#ARGV[2] + 1, at - 1) == digest then
  redis.call('EXPIRE', KEYS[2], ARGV[3])
  if stale then
    local since_at = at - 1 + #ARGV[6] + DIGITS
    if redis.call('GETRANGE', KEYS[2], since_at, since_at + #ARGV[8] - 1) == ARGV[8] then
      redis.call('SETRANGE', KEYS[2], since_at + #ARGV[8], ARGV[9])
    end
    redis.call('SETRANGE', KEYS[2], 0, ARGV[2]:sub(1, #ARGV[7]))
  end
  if cached then
    redis.pcall('SETRANGE', KEYS[2], at - 1 + #ARGV[6], revision)
  end
  return {stale and 'fresh' or 'same'}
end
if mark ~= '' and mark == digest then
  if redis.call('PTTL', KEYS[3]) < tonumber(ARGV[5]) * 1000 then -- that of a discarded letter lives longer (discard.lua)
    redis.call('EXPIRE', KEYS[3], ARGV[5])
  end
  return {'dead'}
end
return {'read', digest, redis.call('PTTL', KEYS[1]), revision, value}
