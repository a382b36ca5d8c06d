-- Add to the totals of GET /api/metrics.
--
-- KEYS   1 the hash
-- ARGV   1 TTL in s
--        2 ... field and increment, alternating
-- Returns 1.
--
-- Invariant: the hash has a TTL, or it is not written: EXPIRE comes first, because it may be refused. A field that holds
-- no number is another application's and stays.

redis.call('EXPIRE', KEYS[1], ARGV[1])
for position = 2, #ARGV, 2 do redis.pcall('HINCRBY', KEYS[1], ARGV[position], ARGV[position + 1]) end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
