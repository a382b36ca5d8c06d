-- Remove one dead letter, and keep or delete the mark of its content.
--
-- KEYS   1 index: sorted set
--        2 letters: hash
--        3 payloads: hash
--        4 totals: hash
--        5 mark of its key, if the key is known
-- ARGV   1 id
--        2 with KEYS 5: the mark that the letter wrote
--        3 with KEYS 5: TTL in s of the mark, which keeps the content from being buried again; '' deletes the mark
-- Returns 1, or 0 if there was no such letter.
--
-- Invariant: the totals stay exact. A mark of other content is left alone: the key's content may have changed since, and
-- be another letter. The mark comes first: if that is refused, the letter stays.

-- pcall throughout: a key that another application overwrote holds no letter.
local function number(...)
  local reply = redis.pcall(...)
  return type(reply) == 'number' and reply or 0
end

if KEYS[5] then
  local mark = redis.pcall('GET', KEYS[5])
  if ARGV[3] == '' then
    if mark == ARGV[2] then redis.call('DEL', KEYS[5]) end
  elseif (mark == ARGV[2] or not mark) and number('HEXISTS', KEYS[2], ARGV[1]) == 1 then
    redis.call('SET', KEYS[5], ARGV[2], 'EX', ARGV[3])
  end
end
local bytes = number('HSTRLEN', KEYS[2], ARGV[1]) + number('HSTRLEN', KEYS[3], ARGV[1])
local removed = number('ZREM', KEYS[1], ARGV[1]) + number('HDEL', KEYS[2], ARGV[1])
local payloads = number('HDEL', KEYS[3], ARGV[1])
if removed > 0 then
  redis.pcall('HINCRBY', KEYS[4], 'bytes', -bytes)
  redis.pcall('HINCRBY', KEYS[4], 'payloads', -payloads)
end
return removed > 0 and 1 or 0
