-- Add counts to the statistics of a minute, the outcomes among them to those of its ten minutes and its hour, and effects
-- to the feed.
--
-- KEYS   1 the minute's hash
--        2 the hash of its ten minutes
--        3 the hash of its hour
--        4 the feed: a stream
-- ARGV   1 2 3 4 TTL of each key in s
--        5 number of effects that the feed keeps
--        6 number of effects that follow, n
--        7 ... 6 + n effects, oldest first
--        7 + n ... field and increment, alternating
-- Returns 1.
--
-- Invariant: a key has a TTL, or it is not written: EXPIRE comes first, because it may be refused. A field that holds no
-- number and a key of another type are another application's and stay.

redis.call('EXPIRE', KEYS[1], ARGV[1])
local effects, added = tonumber(ARGV[6]), nil
for position = 7, 6 + effects do
  added = redis.pcall('XADD', KEYS[4], 'MAXLEN', ARGV[5], '*', 'effect', ARGV[position])
end
if type(added) == 'string' then redis.call('EXPIRE', KEYS[4], ARGV[4]) end
for position = 7 + effects, #ARGV, 2 do
  local field, count = ARGV[position], ARGV[position + 1]
  redis.pcall('HINCRBY', KEYS[1], field, count)
  if field:sub(1, 2) == 'n ' then
    redis.pcall('HINCRBY', KEYS[2], field, count)
    redis.pcall('HINCRBY', KEYS[3], field, count)
  end
end
for number = 1, 3 do redis.call('EXPIRE', KEYS[number], ARGV[number]) end
return 1
