-- Reads a chart's source, unless it is too large or its cache shows it already.
--
-- KEYS[1]  source: fabric:data:chart:{chartId}:{dataType}
-- KEYS[2]  cache: fabric:cache:chart:{chartId}:{dataType}
-- KEYS[3]  dead mark: the digest of the content that became a dead letter
-- ARGV[1]  largest source to read, in bytes
-- ARGV[2]  first bytes of a fresh cache, up to its source digest
-- ARGV[3]  time to live of a cache, in seconds
-- ARGV[4]  largest source to read in this call, in bytes
-- ARGV[5]  time to live of a dead mark, in seconds
--
-- Returns one of
--   {'gone'}                    no source
--   {'type', name}              the source is no string
--   {'large', size}             the source has more than ARGV[1] bytes; it was not read
--   {'same'}                    the cache is fresh and of this very source; it lives on for ARGV[3]
--   {'dead'}                    this content became a dead letter
--   {'later'}                   the source has more than ARGV[4] bytes: read it in a call of its own
--   {'read', digest, ttl, value}   the source, its SHA-1 in hex where it had to be known here, else '', what is left of
--                                  its life in ms (negative: no end)
--
-- Invariant: changes no value. The size is checked before the value is touched. A digest takes Redis as long as all else
-- here, so it is left to whoever reads unless there is one to compare it with.

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
-- pcall: a cache key of another type is no cache.
local head = redis.pcall('GETRANGE', KEYS[2], 0, #ARGV[2] + 40)
local shown = type(head) == 'string' and head:sub(1, #ARGV[2]) == ARGV[2]
local digest = ''
if shown or mark then
  digest = redis.sha1hex(value)
end
if shown and head == ARGV[2] .. digest .. '"' then
  redis.call('EXPIRE', KEYS[2], ARGV[3])
  return {'same'}
end
if mark == digest then
  redis.call('EXPIRE', KEYS[3], ARGV[5])
  return {'dead'}
end
return {'read', digest, redis.call('PTTL', KEYS[1]), value}
