-- Claim a batch whose source is gone, to analyse content that was kept in a dead letter.
--
-- KEYS   1 the batch, 2 its result, 3 its claim
-- ARGV   1 owner
--        2 length of a lease in ms
--        3 head of the result: it is of this content when it begins so
--        4 digest of the content
--        5 time to live of a claim in s
-- Returns one of
--        {"live"}              the batch is there: it is read, not the letter
--        {"done"}              the result is of this very content
--        {"superseded"}        there is a result of other content, which may be newer
--        {"held"}              somebody holds a live lease
--        {"claimed", token}    as by claim_batches.lua
--
-- Invariant: as claim_batches.lua; and what is in Redis is never replaced by content from a letter.

if redis.replicate_commands then redis.replicate_commands() end
local clock = redis.call('TIME')
local now_us = tonumber(clock[1]) * 1e6 + tonumber(clock[2])
local now_ms = math.floor(now_us / 1000)

if redis.call('EXISTS', KEYS[1]) == 1 then return {'live'} end
if redis.call('EXISTS', KEYS[2]) == 1 then
  return redis.pcall('GETRANGE', KEYS[2], 0, #ARGV[3] - 1) == ARGV[3] and {'done'} or {'superseded'}
end
local claim_type = redis.call('TYPE', KEYS[3]).ok
if claim_type ~= 'none' and (claim_type ~= 'hash' or redis.call('HEXISTS', KEYS[3], 'token') == 0) then
  return {'held'}
end
local held = redis.call('HMGET', KEYS[3], 'lease_until_ms', 'token')
local until_ms = tonumber(held[1]) or 0
if until_ms > now_ms and until_ms <= now_ms + tonumber(ARGV[5]) * 1000 then return {'held'} end
local token = string.format('%.0f', math.max(now_us, (tonumber(held[2]) or 0) + 1))
redis.call('HSET', KEYS[3], 'owner', ARGV[1], 'token', token, 'attempt', 1, 'content', ARGV[4],
  'lease_until_ms', string.format('%.0f', now_ms + tonumber(ARGV[2])))
redis.call('HDEL', KEYS[3], 'again')
redis.call('EXPIRE', KEYS[3], ARGV[5])
return {'claimed', token}
