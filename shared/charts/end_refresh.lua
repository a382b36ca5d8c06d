-- Write what was fetched of a chart, unless somebody else has changed the chart since, and end its fetch.
--
-- KEYS[1]  source key: fabric:data:chart:{chartId}:{dataType}
-- KEYS[2]  state of the chart: hash; see schedule_chart.lua
-- KEYS[3]  due times: sorted set of source keys by due ms
-- KEYS[4]  fetches in progress: sorted set of source keys by the end of their lease in ms
-- KEYS[5]  state of the source: hash
-- KEYS[6]  the content, if it is large: Lua would copy it several times, and block Redis for 8 ms per MiB
-- ARGV[1]  fence of this fetch, from begin_refresh.lua
-- ARGV[2]  lease end of this fetch in ms, from take_refreshes.lua
-- ARGV[3]  the content, '' if KEYS[6] has it
-- ARGV[4]  SHA-1 of the content in hex
-- ARGV[5]  TTL of the content in ms
-- ARGV[6]  when the chart expires, in ms, as begin_refresh.lua found it; 0 if it was gone
-- ARGV[7]  its size then
-- ARGV[8]  its SHA-1 then; of a large one, that of its begin and its end: see begin_refresh.lua
-- ARGV[9]  how long before its expiry it is refreshed while it is watched, in ms, with jitter; 0 for never
-- ARGV[10] how long a sign of use makes it a watched chart, in ms
-- ARGV[11] TTL of the states in s
-- ARGV[12] largest content that is hashed as a whole, in bytes
--
-- Returns
--   'written'   the content was written with its TTL; where it is the same as before, only its TTL
--   'newer'     a client has written the chart since; nothing was written
--   'deleted'   a client has deleted the chart since; nothing was written
--   'lost'      another fetch has the chart, since the lease of this one has ended; nothing was written
--
-- State of a source, version 1: v; failures in a row; opens (how often in a row it was left alone); closed (ms; until
-- when); ok, failed (ms; last answer and last failure); error.
--
-- Invariant: never replaces what a client wrote after the fetch began, and never brings back what one deleted. If Redis
-- refuses the content, nothing else is written, and the chart is due again when its lease ends.

local SLACK_MS, AFTER_MS = 100, 20

local function release()
  local lease = redis.call('ZSCORE', KEYS[4], KEYS[1])
  if lease and whole(tonumber(lease)) == ARGV[2] then redis.call('ZREM', KEYS[4], KEYS[1]) end
end

local function answered()
  redis.call('HSET', KEYS[5], 'v', '1', 'failures', '0', 'opens', '0', 'ok', whole(now))
  redis.call('HDEL', KEYS[5], 'error')
  redis.call('EXPIRE', KEYS[5], ARGV[11])
end

local fields = fields_of(KEYS[2], 'fence', 'active', 'deleted', 'gone')
if fields[1] ~= ARGV[1] then
  release()
  return fields[3] and 'deleted' or 'lost'
end
local before, ttl = tonumber(ARGV[6]), redis.call('PTTL', KEYS[1])
local exists, same = ttl ~= -2, false
if exists then
  local unchanged = before > 0 and redis.call('TYPE', KEYS[1]).ok == 'string' and ttl >= 0
    and math.abs(now + ttl - before) <= SLACK_MS and redis.call('STRLEN', KEYS[1]) == tonumber(ARGV[7])
  if unchanged then
    unchanged = digest_of(KEYS[1], tonumber(ARGV[7]), tonumber(ARGV[12])) == ARGV[8]
    same = ARGV[8] == ARGV[4]
  end
  if not unchanged then
    answered()
    release()
    redis.call('ZADD', KEYS[3], whole(now), KEYS[1]) -- the next look sets the due time
    return 'newer'
  end
elseif before > 0 and now < before - SLACK_MS and not fields[4] then
  answered()
  redis.call('HSET', KEYS[2], 'deleted', '1')
  redis.call('ZREM', KEYS[3], KEYS[1])
  release()
  return 'deleted'
end
if same then
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
elseif ARGV[3] == '' then
  redis.call('RENAME', KEYS[6], KEYS[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
else
  redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[5], exists and 'XX' or 'NX')
end
local expires = now + tonumber(ARGV[5])
local due, ahead = expires + AFTER_MS, tonumber(ARGV[9])
if ahead > 0 and now - (number(fields[2]) or 0) < tonumber(ARGV[10]) then due = expires - ahead end
redis.call('ZADD', KEYS[3], whole(due), KEYS[1])
redis.call('HSET', KEYS[2], 'expires', whole(expires), 'own', whole(expires), 'refreshed', whole(now), 'failures', '0')
redis.call('HDEL', KEYS[2], 'gone', 'asked', 'error')
redis.call('EXPIRE', KEYS[2], ARGV[11])
redis.call('EXPIRE', KEYS[3], ARGV[11])
answered()
release()
return 'written'
