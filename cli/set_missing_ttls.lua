-- Set a TTL on keys that have none.
--
-- KEYS     keys of any type, about a hundred
-- ARGV[i]  TTL in s for KEYS[i]
--
-- Returns per key 1 where it was set, 0 where the key has a TTL or does not exist.
--
-- Invariant: an existing TTL is not changed (EXPIRE NX does the same from Redis 7.0 on).

local answer = {}
for index, key in ipairs(KEYS) do
  answer[index] = redis.call('PTTL', key) == -1 and redis.call('EXPIRE', key, ARGV[index]) or 0
end
return answer
