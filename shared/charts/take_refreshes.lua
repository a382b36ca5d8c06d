-- Take charts of one source that are due, as many as its limit on requests in flight leaves. While the source is left
-- alone they are taken too, to notice those that lapse: begin_refresh.lua fetches none then.
--
-- KEYS[1]  due times: sorted set of source keys by due ms
-- KEYS[2]  fetches in progress: sorted set of source keys by the end of their lease in ms
-- KEYS[3]  state of the source: hash; see end_refresh.lua
-- ARGV[1]  how many charts this process takes at most
-- ARGV[2]  how many requests may be in flight to the source, of all instances together
-- ARGV[3]  lease in ms
-- ARGV[4]  TTL of the keys in s
-- ARGV[5]  failures in a row from which on the source is tried with one request at a time
-- ARGV[6]  longest time in ms that a source is left alone
--
-- Returns {time in ms until there may be something to take or -1 for nothing due, lease end in ms, until when the
-- source is left alone in ms or 0, source keys ...}.
--
-- Invariant: a chart is in progress once, and a source has at most ARGV[2] fetches in progress. If the caller dies, its
-- charts are due again when their leases end.

reclaim(KEYS[1], 'zset')
reclaim(KEYS[2], 'zset')
reclaim(KEYS[3], 'hash')
-- The first 64 members are measured before any is loaded; the next sweep restores due times.
local MAX_LEASES = 10000 -- ten times what any setting allows
local charts = redis.call('ZCARD', KEYS[1])
if charts > 0 and redis.call('MEMORY', 'USAGE', KEYS[1], 'SAMPLES', 64) > 16384 * charts then
  redis.call('UNLINK', KEYS[1])
end
if redis.call('ZCARD', KEYS[2]) > MAX_LEASES then redis.call('UNLINK', KEYS[2]) end
local lease_end = now + tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', whole(now))
-- A lease that is further ahead than any given now is from before the clock was set back.
redis.call('ZREMRANGEBYSCORE', KEYS[2], '(' .. whole(lease_end), '+inf')
local source = fields_of(KEYS[3], 'failures', 'closed')
local failures, closed = number(source[1]) or 0, number(source[2]) or 0
local rests = closed > now and closed <= now + tonumber(ARGV[6])
local in_flight = redis.call('ZCARD', KEYS[2])
local limit = failures >= tonumber(ARGV[5]) and not rests and 1 or tonumber(ARGV[2])
local free = math.min(limit - in_flight, tonumber(ARGV[1]))
local reply = { -1, lease_end, rests and closed or 0 }
if free > 0 then
  for _, chart in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', whole(now), 'LIMIT', 0, free + in_flight)) do
    if #reply < free + 3 and not redis.call('ZSCORE', KEYS[2], chart) then
      redis.call('ZADD', KEYS[2], whole(lease_end), chart)
      redis.call('ZADD', KEYS[1], 'XX', whole(lease_end), chart)
      reply[#reply + 1] = chart
    end
  end
  if #reply > 3 then redis.call('EXPIRE', KEYS[2], ARGV[4]) end
end
-- Charts that are due but in progress, or beyond the limit, wait for the end of a fetch.
local after = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. whole(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
if after[2] then reply[1] = math.max(1, math.ceil(tonumber(after[2]) - now)) end
return reply
