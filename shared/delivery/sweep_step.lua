-- Save the position of a reconciliation pass, and renew or release its lease.
--
-- KEYS   1 state of the pass: hash
-- ARGV   1 token of the lease
--        2 length of the lease in ms from now, 0 to release it
--        3 TTL of the state in s
--        4 position to continue from, '' if the pass is complete
--        5 start of the pass in ms
--        6 counts of the pass (JSON), stored if it is complete
--        7 how long a paced pass rests from now, in ms
-- Returns 1, or 0 if the token is not that of the last lease: then nothing is written.
--
-- Invariant: only the holder of the last lease writes, even after it ended, unless another instance took it over.

if redis.replicate_commands then redis.replicate_commands() end

local token, lease_ms, ttl_s = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local position, began_ms, counts = ARGV[4], tonumber(ARGV[5]), ARGV[6]

if redis.pcall('HSTRLEN', KEYS[1], 'token') ~= #token or redis.call('HGET', KEYS[1], 'token') ~= token then return 0 end
local clock = redis.call('TIME')
local now_ms = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local until_ms = lease_ms > 0 and now_ms + lease_ms or 0
redis.call('HSET', KEYS[1], 'until_ms', string.format('%.0f', until_ms), 'position', position,
  'worked_ms', string.format('%.0f', now_ms), 'rest_until_ms', string.format('%.0f', now_ms + tonumber(ARGV[7])))
if position == '' then
  redis.call('HSET', KEYS[1], 'ended_ms', string.format('%.0f', now_ms),
    'duration_ms', string.format('%.0f', now_ms - began_ms), 'found', counts)
end
redis.call('EXPIRE', KEYS[1], ttl_s)
return 1
