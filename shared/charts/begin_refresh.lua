-- Decide whether a chart that was taken is fetched, and give the fetch its fencing token.
--
-- KEYS[1]  source key: fabric:data:chart:{chartId}:{dataType}
-- KEYS[2]  state of the chart: hash; see schedule_chart.lua
-- KEYS[3]  due times: sorted set of source keys by due ms
-- KEYS[4]  fetches in progress: sorted set of source keys by the end of their lease in ms
-- KEYS[5]  interest: sorted set of {chartId}:{dataType} by the time in ms (of the dashboard's clock)
-- ARGV[1]  longest time before its expiry at which a watched chart is refreshed, in ms; 0 for never
-- ARGV[2]  how long a sign of use makes it a watched chart, in ms; so long a chart that never was there is asked for
-- ARGV[3]  how long after its last sign of use a lapsed chart is fetched, in ms
-- ARGV[4]  TTL of state and due times in s
-- ARGV[5]  lease end in ms
-- ARGV[6]  largest content that is hashed, in bytes; of a larger one its begin and its end are, as much together
-- ARGV[7]  {chartId}:{dataType}
-- ARGV[8]  until when its source is left alone, in ms; 0 if it is not
--
-- Returns one of
--   {'none'}    nothing to fetch: it does not expire, is no chart, was deleted, or nobody has used it for long
--   {'later'}   it is not due yet; its due time is set
--   {'lapsed'}  it is gone, and its source is left alone; its due time is set
--   {'lost'}    the lease has ended; nothing was written
--   {'fetch', fence, expires in ms or 0 if it is gone, size, SHA-1 in hex or '' if it is gone, failures so far}
--
-- Invariant: each fetch has a higher fence than the one before, also where the state was lost in between. A chart that
-- is missing before its time, without an event that tells why, counts as deleted by a client. After a rest of the source
-- the charts that did not fail come first: they show whether it is back.

local SLACK_MS, AFTER_MS, BEHIND_MS = 100, 20, 100
local NEVER = 2 ^ 53 - 1
local ahead, active_for = tonumber(ARGV[1]), tonumber(ARGV[2])

local function leave(due, reply)
  if due then
    redis.call('ZADD', KEYS[3], whole(due), KEYS[1])
    redis.call('EXPIRE', KEYS[3], ARGV[4])
  else
    redis.call('ZREM', KEYS[3], KEYS[1])
  end
  redis.call('ZREM', KEYS[4], KEYS[1])
  redis.call('EXPIRE', KEYS[2], ARGV[4])
  return { reply or due and 'later' or 'none' }
end

local lease = redis.call('ZSCORE', KEYS[4], KEYS[1])
if not lease or whole(tonumber(lease)) ~= ARGV[5] then return { 'lost' } end
local fields = fields_of(KEYS[2], 'v', 'expires', 'own', 'active', 'gone', 'deleted', 'asked', 'failures', 'fence')
if fields[1] ~= '1' then fields = {} end
local expires, own = number(fields[2]), number(fields[3])
local active = math.min(number(fields[4]) or 0, now)
local gone, deleted, asked, failures = fields[5], fields[6], fields[7], number(fields[8]) or 0
local rests_until = tonumber(ARGV[8])
if rests_until > 0 and failures > 0 then rests_until = rests_until + BEHIND_MS end
-- pcall: a key of another type names no interest.
local interest = redis.pcall('ZSCORE', KEYS[5], ARGV[7])
active = math.max(active, math.min(type(interest) == 'string' and tonumber(interest) or 0, now))

local ttl = redis.call('PTTL', KEYS[1])
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'string' and kind ~= 'none' then
  return leave(nil)
end
local found, size, digest = 0, 0, ''
if ttl ~= -2 then
  found = ttl == -1 and NEVER or now + ttl
  local is_new = not expires or math.abs(found - expires) > SLACK_MS
  if is_new and not (own and math.abs(found - own) <= SLACK_MS) then
    active = now -- a client wrote it
    ahead = math.min(ahead, ttl / 2) -- else the write of a short-lived one would be the reason to fetch it
  end
  redis.call('HSET', KEYS[2], 'v', '1', 'expires', whole(is_new and found or expires), 'active', whole(active))
  if gone or deleted then redis.call('HDEL', KEYS[2], 'gone', 'deleted') end
  if ttl == -1 then
    redis.call('HDEL', KEYS[2], 'asked')
    return leave(nil)
  end
  if not asked then
    if ahead == 0 or now - active >= active_for then return leave(found + AFTER_MS) end
    if now < found - ahead then return leave(found - ahead) end
  end
  if rests_until > 0 then return leave(math.min(found + AFTER_MS, rests_until)) end
  size = redis.call('STRLEN', KEYS[1])
  digest = digest_of(KEYS[1], size, tonumber(ARGV[6]))
  redis.call('HDEL', KEYS[2], 'evicted')
else
  if deleted and not asked then return leave(nil) end
  if not asked and not gone and expires and now < expires - SLACK_MS then
    redis.call('HSET', KEYS[2], 'deleted', '1')
    return leave(nil)
  end
  if not asked and now - active > (expires and tonumber(ARGV[3]) or active_for) then
    redis.call('UNLINK', KEYS[2])
    return leave(nil)
  end
  redis.call('HSET', KEYS[2], 'v', '1', 'gone', '1', 'active', whole(active))
  if rests_until > 0 then return leave(rests_until, 'lapsed') end
end
local fence = number(fields[9]) or 0
fence = math.max(now, fence < NEVER and fence + 1 or 0)
redis.call('HSET', KEYS[2], 'fence', whole(fence))
redis.call('EXPIRE', KEYS[2], ARGV[4])
return { 'fetch', fence, found, size, digest, failures }
