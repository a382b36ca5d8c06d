-- Take keys whose retry is due.
--
-- KEYS   1 due times: sorted set, member (reactor, zero byte, key) to ms
--        2 entries: hash
-- ARGV   1 lease in ms
--        2 maximum number of members to take; 0 only counts
--        3 longest delay in ms
-- Returns {number of waiting members, member ...}, longest due first.
--
-- Invariant: a member that is taken is due again after a lease, unless it is rescheduled or removed before. So no other
-- worker takes it during the lease, and no retry is lost if the worker dies. A member that is due later than a new one
-- could be is due now: its time was written before the clock was set back. Malformed members are removed.

-- TIME must precede all writes: see session_transition.lua.
if redis.replicate_commands then redis.replicate_commands() end

local due = KEYS[1]
if redis.call('TYPE', due).ok ~= 'zset' then return {0} end

local clock = redis.call('TIME')
local now_ms = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local lease_end_ms = string.format('%.0f', now_ms + tonumber(ARGV[1]))
local latest_ms = string.format('(%.0f', now_ms + tonumber(ARGV[3]))
local taken = {0}

local function take(min_ms, max_ms, limit)
  local members = redis.call('ZRANGEBYSCORE', due, min_ms, max_ms, 'LIMIT', 0, limit)
  for _, member in ipairs(members) do
    if member:find('^[%w_]+%z') then
      redis.call('ZADD', due, lease_end_ms, member)
      taken[#taken + 1] = member
    else
      redis.call('ZREM', due, member)
      redis.pcall('HDEL', KEYS[2], member)
    end
  end
  return limit - #members
end

local left = take('-inf', string.format('%.0f', now_ms), tonumber(ARGV[2]))
if left > 0 then take(latest_ms, '+inf', left) end
taken[1] = redis.call('ZCARD', due)
return taken
