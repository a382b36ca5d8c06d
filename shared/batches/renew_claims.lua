-- Renew the leases of claims, or give them back.
--
-- KEYS   the claims
-- ARGV   1 owner
--        2 length of a lease in ms from now; 0 gives the claims back
--        3 ... two per claim: its fencing token, and the digest of the content that was worked on
-- Returns per claim "lost" where it is another's by now or gone, "again" where it was given back and others had last
--        found other content there, else "kept".
--
-- Invariant: touches no claim whose owner or token is another.

if redis.replicate_commands then redis.replicate_commands() end
local clock = redis.call('TIME')
local now_ms = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local answers = {}
for index, claim in ipairs(KEYS) do
  local held = redis.pcall('HMGET', claim, 'owner', 'token', 'again')
  answers[index] = 'lost'
  if held[1] == ARGV[1] and held[2] == ARGV[2 * index + 1] then
    answers[index] = 'kept'
    if ARGV[2] == '0' then
      redis.call('DEL', claim)
      if held[3] and held[3] ~= ARGV[2 * index + 2] then answers[index] = 'again' end
    else
      redis.call('HSET', claim, 'lease_until_ms', string.format('%.0f', now_ms + tonumber(ARGV[2])))
    end
  end
end
return answers
