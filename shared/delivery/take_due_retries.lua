-- Take keys whose time to be tried again has come.
--
-- KEYS   1 due times: sorted set, member (reactor, zero byte, key) to ms
-- ARGV   1 lease in ms
--        2 how many at the most; 0 only counts
-- Returns {how many wait in all, member ...}, longest due first.
--
-- Invariant: what is taken is due again a lease from now, unless it is scheduled anew or removed. So nobody else takes
-- it meanwhile, and a worker that dies forgets nothing. Members that are none of ours are removed.

-- TIME comes before the writes: see session_transition.lua.
if redis.replicate_commands then redis.replicate_commands() end

local due = KEYS[1]
if redis.call('TYPE', due).ok ~= 'zset' then return {0} end

local clock = redis.call('TIME')
local now_ms = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local again_ms = string.format('%.0f', now_ms + tonumber(ARGV[1]))
local taken = {0}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', string.format('%.0f', now_ms), 'LIMIT', 0, ARGV[2])) do
  if member:find('^[%w_]+%z') then
    redis.call('ZADD', due, again_ms, member)
    taken[#taken + 1] = member
  else
    redis.call('ZREM', due, member)
  end
end
taken[1] = redis.call('ZCARD', due)
return taken
