-- Note what was seen of a chart that has a source, and set when it is due to be looked at next.
--
-- KEYS[1]  source key: fabric:data:chart:{chartId}:{dataType}
-- KEYS[2]  state of the chart: hash
-- KEYS[3]  due times: sorted set of source keys by the time in ms at which they are due
-- ARGV[1]  what was seen: 'seen' (any look), 'expired', 'evicted', 'deleted' (by a client), 'used' (somebody reads it),
--          'asked' (an operator wants it refreshed)
-- ARGV[2]  how long before its expiry it is refreshed while it is watched, in ms, with jitter; 0 for never
-- ARGV[3]  how long a sign of use makes it a watched chart, in ms
-- ARGV[4]  TTL of state and due times in s
-- ARGV[5]  time of the sign of use in ms, at most now; 0 for now
--
-- Returns the time until it is due in ms, 0 if it is due now, -1 if it is not due at all. One without a TTL is due once,
-- for a client that sets its TTL by a command of its own; 'used' and 'asked' return -1 for it.
--
-- Invariant: a chart that is there or has lapsed has a due time; one that a client deleted has none, until a client
-- writes it again. A chart that is missing before its time, without an event that tells why, counts as deleted. A look
-- that finds nothing new moves no due time, so it does not shorten a backoff.
--
-- State, version 1: v; expires (ms; when the chart expires or expired; absent if it never was there); own (the same, as
-- this app's own write set it); active (ms; last sign of use: a client's write is one, this app's own is none); gone,
-- deleted, asked ('1' or absent); evicted (how often in a row, before it was refreshed); fence, failures, refreshed,
-- failed (ms), error: see begin_refresh.lua.

local SLACK_MS, AFTER_MS = 100, 20
local TTL_COMES_MS, LONGEST_DELAY_MS = 1000, 60000
local NEVER = 2 ^ 53 - 1
local event, ahead, active_for = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local lapsed = event == 'expired' or event == 'evicted'

reclaim(KEYS[2], 'hash')
reclaim(KEYS[3], 'zset')
local fields = fields_of(KEYS[2], 'v', 'expires', 'own', 'active', 'gone', 'deleted', 'fence', 'evicted')
if fields[1] and fields[1] ~= '1' then
  redis.call('UNLINK', KEYS[2])
  fields = {}
end
local expires, own = number(fields[2]), number(fields[3])
local active = math.min(number(fields[4]) or 0, now)
local gone, deleted = fields[5], fields[6]
local due = tonumber(redis.call('ZSCORE', KEYS[3], KEYS[1]) or '')
local used = math.min(tonumber(ARGV[5]) > 0 and tonumber(ARGV[5]) or now, now)

local ttl = redis.call('PTTL', KEYS[1])
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'string' and kind ~= 'none' then
  redis.call('ZREM', KEYS[3], KEYS[1])
  return -1
end

local changes = { 'v', '1' }
local function set(name, value)
  changes[#changes + 1] = name
  changes[#changes + 1] = value
end

local function mark_deleted()
  local fence = number(fields[7]) or 0
  redis.call('ZREM', KEYS[3], KEYS[1])
  -- With another fence a fetch in progress writes nothing.
  redis.call('HSET', KEYS[2], 'v', '1', 'deleted', '1', 'fence', whole(math.max(now, fence < NEVER and fence + 1 or 0)))
  redis.call('HDEL', KEYS[2], 'gone', 'asked')
  redis.call('EXPIRE', KEYS[2], ARGV[4])
  return -1
end

if ttl == -1 then -- it does not expire
  redis.call('HSET', KEYS[2], 'v', '1', 'expires', whole(NEVER), 'active', whole(now))
  redis.call('HDEL', KEYS[2], 'gone', 'deleted', 'asked')
  redis.call('EXPIRE', KEYS[2], ARGV[4])
  if expires == NEVER and not (due and due > now) then
    redis.call('ZREM', KEYS[3], KEYS[1])
    return -1
  end
  if expires ~= NEVER then due = now + TTL_COMES_MS end
  redis.call('ZADD', KEYS[3], whole(due), KEYS[1])
  redis.call('EXPIRE', KEYS[3], ARGV[4])
  return (event == 'used' or event == 'asked') and -1 or math.ceil(due - now)
elseif ttl >= 0 then
  local found = now + ttl
  local was_active = now - active < active_for
  local is_new = not expires or math.abs(found - expires) > SLACK_MS or gone or deleted
  if is_new and not (own and math.abs(found - own) <= SLACK_MS) then
    active = now -- a client wrote it
    ahead = math.min(ahead, ttl / 2) -- else the write of a short-lived one would be the reason to fetch it
  end
  if event == 'used' then active = math.max(active, used) end
  local next_due = found + AFTER_MS
  if ahead > 0 and now - active < active_for then next_due = math.max(now, found - ahead) end
  if event == 'asked' then
    due = now
    set('asked', '1')
  elseif is_new or not due or due > found + AFTER_MS then
    due = next_due
  elseif event == 'used' and not was_active then
    due = math.min(due, next_due)
  end
  if is_new then set('expires', whole(found)) end -- else frequent writes, each within the slack, would never be new
  if gone or deleted then redis.call('HDEL', KEYS[2], 'gone', 'deleted') end
elseif event == 'deleted' then
  return mark_deleted()
elseif event == 'asked' then
  due = now
  set('asked', '1')
  set('gone', '1')
  if deleted then redis.call('HDEL', KEYS[2], 'deleted') end
elseif deleted and not lapsed then
  return -1
elseif not gone and not lapsed and expires and now < expires - SLACK_MS then
  return mark_deleted()
else
  if event == 'used' then
    active = math.max(active, used)
  elseif not expires then
    set('expires', whole(now)) -- its cache or an event shows that it was there
  end
  if active == 0 then active = now end -- the first that is known of it
  if not gone then
    -- Where memory is short, what is fetched is evicted again and again: ever more time lies between.
    local before = event == 'evicted' and math.min(number(fields[8]) or 0, 10) or 0
    due = now + math.min(1000 * (2 ^ math.max(before, 0) - 1), LONGEST_DELAY_MS)
    set('evicted', event == 'evicted' and whole(before + 1) or '0')
    set('gone', '1')
    if deleted then redis.call('HDEL', KEYS[2], 'deleted') end
  elseif not due then
    due = now
  end
end
set('active', whole(active))
redis.call('HSET', KEYS[2], unpack(changes))
redis.call('EXPIRE', KEYS[2], ARGV[4])
if not due then return -1 end
redis.call('ZADD', KEYS[3], whole(due), KEYS[1])
redis.call('EXPIRE', KEYS[3], ARGV[4])
return math.max(0, math.ceil(due - now))
