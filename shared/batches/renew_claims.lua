-- Renew the leases of claims, or release them.
--
-- KEYS   the claims
-- ARGV   1 owner
--        2 length of a lease in ms from now; 0 releases the claims
--        3 ... two per claim: its fencing token, and the digest of the content that its holder worked on
-- Returns per claim
--        "kept"   renewed, or released
--        "again"  released; another worker read other content there: look at the batch again
--        "lost"   gone, or claimed by another worker
--
-- Invariant: changes no claim with another owner or token. A claim that Redis refuses to delete is over all the same, and
-- is no attempt: otherwise good content would run out of attempts while deleting is not permitted.

if redis.replicate_commands then redis.replicate_commands() end
local clock = redis.call('TIME')
local now_ms = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local replies = {}
for index, claim_key in ipairs(KEYS) do
  local claim = redis.pcall('HMGET', claim_key, 'owner', 'token', 'again')
  local owner, token, other_digest = claim[1], claim[2], claim[3]
  replies[index] = 'lost'
  if owner == ARGV[1] and token == ARGV[2 * index + 1] then
    replies[index] = 'kept'
    if ARGV[2] == '0' then
      if type(redis.pcall('UNLINK', claim_key)) == 'table' then
        redis.call('HSET', claim_key, 'lease_until_ms', 0, 'attempt', 0)
      end
      if other_digest and other_digest ~= ARGV[2 * index + 2] then replies[index] = 'again' end
    else
      redis.call('HSET', claim_key, 'lease_until_ms', string.format('%.0f', now_ms + tonumber(ARGV[2])))
    end
  end
end
return replies
