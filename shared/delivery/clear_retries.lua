-- Forget the failures of some keys.
--
-- KEYS   1 due times: sorted set
--        2 entries: hash
-- ARGV   members
-- Returns how many members were waiting.
--
-- Invariant: other members do not change; a key that another application overwrote has no members. The due time is
-- removed last: if Redis refuses a command, the key is due again and cleared then.

local waits = redis.call('TYPE', KEYS[1]).ok == 'zset'
local entries = redis.call('TYPE', KEYS[2]).ok == 'hash'
local cleared = 0
for _, member in ipairs(ARGV) do
  if entries then redis.call('HDEL', KEYS[2], member) end
  if waits then cleared = cleared + redis.call('ZREM', KEYS[1], member) end
end
return cleared
