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
--
-- Returns one of
--   {'gone'}                       no source
--   {'type', name}                 the source is not a string
--   {'large', size}                the source has more than ARGV[1] bytes; it was not read
--   {'same'}                       the cache is fresh and from this source; its TTL is ARGV[3] again
--   {'dead'}                       this content is a dead letter
--   {'later'}                      the source has more than ARGV[4] bytes: read it in a call of its own
--   {'read', digest, ttl, value}   the source; digest is its SHA-1 in hex, or '' if there was none to compare with;
--                                  ttl is its remaining TTL in ms, negative for none
--
-- Invariant: changes no value. The size is checked before the value is read. Hashing takes as long as the rest of the
-- script and blocks Redis, so the reader hashes unless there is a digest to compare with.

local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'none' then
  return {'gone'}
end
if kind ~= 'string' then
  return {'type', kind}
end
local size = redis.call('STRLEN', KEYS[1])
local mark = redis.pcall('GET', KEYS[3])
if size > tonumber(ARGV[1]) then
  return mark == '-' and {'dead'} or {'large', size}
end
if size > tonumber(ARGV[4]) then
  return {'later'}
end
local value = redis.call('GET', KEYS[1])
-- pcall: a key of another type is not a cache.
local head = redis.pcall('GETRANGE', KEYS[2], 0, #ARGV[2] + 40)
local fresh = type(head) == 'string' and head:sub(1, #ARGV[2]) == ARGV[2]
local digest = ''
if fresh or mark then
  digest = redis.sha1hex(value)
end
if fresh and head == ARGV[2] .. digest .. '"' then
  redis.call('EXPIRE', KEYS[2], ARGV[3])
  return {'same'}
end
if mark == digest then
  redis.call('EXPIRE', KEYS[3], ARGV[5])
  return {'dead'}
end
return {'read', digest, redis.call('PTTL', KEYS[1]), value}
