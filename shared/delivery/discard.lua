-- Remove one dead letter.
--
-- KEYS   1 index: sorted set
--        2 letters: hash
--        3 payloads: hash
--        4 totals: hash
--        5 mark of its key, if the key is known
-- ARGV   1 id
--        2 with KEYS 5: the mark that the letter wrote
-- Returns 1, or 0 if there was no such letter.
--
-- Invariant: the totals stay exact. The mark is deleted only if this letter wrote it: the key's content may have
-- changed since, and be another letter. It is deleted first: if that is refused, the letter stays.

-- pcall throughout: a key that another application overwrote holds no letter.
local function number(...)
  local reply = redis.pcall(...)
  return type(reply) == 'number' and reply or 0
end

if KEYS[5] and redis.pcall('GET', KEYS[5]) == ARGV[2] then redis.call('DEL', KEYS[5]) end
local bytes = number('HSTRLEN', KEYS[2], ARGV[1]) + number('HSTRLEN', KEYS[3], ARGV[1])
local removed = number('ZREM', KEYS[1], ARGV[1]) + number('HDEL', KEYS[2], ARGV[1])
local payloads = number('HDEL', KEYS[3], ARGV[1])
if removed > 0 then
  redis.pcall('HINCRBY', KEYS[4], 'bytes', -bytes)
  redis.pcall('HINCRBY', KEYS[4], 'payloads', -payloads)
end
return removed > 0 and 1 or 0
