-- Forget the failures of some keys.
--
-- KEYS   1 due times: sorted set
--        2 entries: hash
-- ARGV   members
-- Returns how many members were waiting.
--
-- Invariant: other members do not change; a key that another application overwrote has no members.

local cleared = 0
for _, member in ipairs(ARGV) do
  local removed = redis.pcall('ZREM', KEYS[1], member)
  redis.pcall('HDEL', KEYS[2], member)
  if removed == 1 then cleared = cleared + 1 end
end
return cleared
