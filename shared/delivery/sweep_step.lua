-- Saves where the sweep stands and extends its lease, or gives it up.
--
-- KEYS 1 the sweep's state (a hash)
-- ARGV 1 token of the lease
--      2 length of the lease in ms from now, 0 to give it up
--      3 time to live of the state in s
--      4 position to go on at; '' when the round is finished
--      5 when the round began, in ms
--      6 what the round found (JSON), kept when it is finished
-- Returns 1, or 0 when the token is not that of the last lease given: then nothing is written.
--
-- Invariant: only the holder of the last lease given writes. One that ran out and was not taken over still counts.

if redis.replicate_commands then redis.replicate_commands() end

local token, lease_ms, ttl_s = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local position, began_ms, found = ARGV[4], tonumber(ARGV[5]), ARGV[6]

if redis.pcall('HGET', KEYS[1], 'token') ~= token then return 0 end
local clock = redis.call('TIME')
local now_ms = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local until_ms = lease_ms > 0 and now_ms + lease_ms or 0
redis.call('HSET', KEYS[1], 'until_ms', string.format('%.0f', until_ms), 'position', position)
if position == '' then
  redis.call('HSET', KEYS[1], 'ended_ms', string.format('%.0f', now_ms),
    'duration_ms', string.format('%.0f', now_ms - began_ms), 'found', found)
end
redis.call('EXPIRE', KEYS[1], ttl_s)
return 1
