-- Take keys whose retry is due.
--
-- KEYS   1 due times: sorted set, member (reactor, zero byte, key) to ms
-- ARGV   1 lease in ms
--        2 maximum number of members to take; 0 only counts
-- Returns {number of waiting members, member ...}, longest due first.
--
-- Invariant: a member that is taken is due again after a lease, unless it is rescheduled or removed before. So no other
-- worker takes it during the lease, and no retry is lost if the worker dies. Malformed members are removed.

-- TIME must precede all writes: see take_due_sessions.lua.
if redis.replicate_commands then redis.replicate_commands() end

local due = KEYS[1]
if redis.call('TYPE', due).ok ~= 'zset' then return {0} end

local clock = redis.call('TIME')
local now_ms = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local lease_end_ms = string.format('%.0f', now_ms + tonumber(ARGV[1]))
local taken = {0}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', string.format('%.0f', now_ms), 'LIMIT', 0, ARGV[2])) do
  if member:find('^[%w_]+%z') then
    redis.call('ZADD', due, lease_end_ms, member)
    taken[#taken + 1] = member
  else
    redis.call('ZREM', due, member)
  end
end
taken[1] = redis.call('ZCARD', due)
return taken
