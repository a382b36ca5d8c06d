-- Claim a batch whose key is gone, to analyse the content of its dead letter.
--
-- KEYS   1 the batch, 2 its result, 3 its claim
-- ARGV   1 owner
--        2 length of a lease in ms
--        3 first bytes of a result for this content
--        4 digest of the content
--        5 TTL of a claim in s
-- Returns one of
--        {"live"}              the batch exists: react to it, not to the letter
--        {"done"}              the result is for this content
--        {"superseded"}        the result is for other content, which may be newer
--        {"held"}              another worker holds a live lease, or another application uses the claim's key
--        {"claimed", token}    claimed; token is the fencing token, see claim_batches.lua
--
-- Invariant: that of claim_batches.lua; and content from a letter never replaces a batch or a result in Redis.

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
for _, field in ipairs({'lease_until_ms', 'token'}) do
  if redis.call('HSTRLEN', KEYS[3], field) > 16 then return {'held'} end
end
local claim = redis.call('HMGET', KEYS[3], 'lease_until_ms', 'token')
local until_ms, last_token = tonumber(claim[1]) or 0, tonumber(claim[2]) or 0
if not (last_token >= 0 and last_token < 2 ^ 53 - 1) then last_token = 0 end -- another application's
if until_ms > now_ms and until_ms <= now_ms + tonumber(ARGV[2]) then return {'held'} end
local token = string.format('%.0f', math.max(now_us, last_token + 1))
redis.call('EXPIRE', KEYS[3], ARGV[5]) -- first, because it may be refused
redis.call('HDEL', KEYS[3], 'again')
redis.call('HSET', KEYS[3], 'owner', ARGV[1], 'token', token, 'attempt', 1, 'content', ARGV[4],
  'lease_until_ms', string.format('%.0f', now_ms + tonumber(ARGV[2])))
redis.call('EXPIRE', KEYS[3], ARGV[5])
return {'claimed', token}
