-- Note that a chart could not be fetched: when it is due again, and whether its source is left alone for a while.
--
-- KEYS[1]  state of the chart: hash; see schedule_chart.lua
-- KEYS[2]  due times: sorted set of source keys by due ms
-- KEYS[3]  fetches in progress: sorted set of source keys by the end of their lease in ms
-- KEYS[4]  state of the source: hash; see end_refresh.lua
-- ARGV[1]  source key
-- ARGV[2]  fence of the fetch
-- ARGV[3]  its lease end in ms
-- ARGV[4]  reason, in a few words of this app
-- ARGV[5]  delay in ms until the chart is due again
-- ARGV[6]  how long the source asks to be left alone, in ms; 0 if it does not
-- ARGV[7]  failures in a row from which on the source is left alone
-- ARGV[8]  how long it is left alone the first time, in ms, doubled each time
-- ARGV[9]  the longest such time in ms
-- ARGV[10] TTL of the states in s
-- ARGV[11] '1' if the chart alone is the reason, which does not count against the source
--
-- Returns the time in ms for which the source is left alone because of this, 0 if it is not.
--
-- Invariant: the failures of requests that were in flight together leave a source alone once. A chart that is still
-- there is due when it expires, at the latest.

local AFTER_MS = 20

local function increased(count)
  return math.min(number(count) or 0, 1e6) + 1
end

local chart = fields_of(KEYS[1], 'fence', 'failures', 'expires')
if chart[1] == ARGV[2] then
  local due, expires = now + tonumber(ARGV[5]), number(chart[3]) or 0
  if expires > now then due = math.min(due, expires + AFTER_MS) end
  redis.call('ZADD', KEYS[2], 'XX', whole(due), ARGV[1])
  redis.call('HSET', KEYS[1], 'error', ARGV[4], 'failed', whole(now), 'failures', whole(increased(chart[2])))
  redis.call('EXPIRE', KEYS[1], ARGV[10])
end
local lease = redis.call('ZSCORE', KEYS[3], ARGV[1])
if lease and whole(tonumber(lease)) == ARGV[3] then redis.call('ZREM', KEYS[3], ARGV[1]) end
if ARGV[11] == '1' then return 0 end
local source = fields_of(KEYS[4], 'failures', 'opens', 'closed')
local failures, opens = increased(source[1]), number(source[2]) or 0
local closed = number(source[3]) or 0
if failures >= tonumber(ARGV[7]) and closed <= now then
  closed = now + math.min(tonumber(ARGV[9]), tonumber(ARGV[8]) * 2 ^ math.min(opens, 20))
  opens = opens + 1
end
if tonumber(ARGV[6]) > 0 then closed = math.max(closed, now + tonumber(ARGV[6])) end
redis.call('HSET', KEYS[4], 'v', '1', 'failures', whole(failures), 'opens', whole(opens), 'closed', whole(closed),
  'failed', whole(now), 'error', ARGV[4])
redis.call('EXPIRE', KEYS[4], ARGV[10])
return math.max(0, math.ceil(closed - now))
