-- Count a failure of a key and schedule its retry.
--
-- KEYS   1 due times: sorted set, member to ms
--        2 entries: hash, member to "attempts first_ms last_ms\n" digest "\n" error (ARGV 3, not parsed here)
-- ARGV   1 member
--        2 digest of the content that failed, '' if it was not read
--        3 description of the error
--        4 TTL of both keys in s
--        5 delay in ms of a key whose attempts are used up (one lease)
--        6 ... delay in ms after the first failure, after the second ...; attempts are used up after the last of them
-- Returns {attempts, delay in ms or -1 if attempts are used up, time of the first failure in ms, of this one in ms}.
--
-- Invariant: every member with an entry has a due time, so no failure is lost. A missing or unreadable entry counts as
-- no failure. If Redis refuses a command, no failure is counted.

-- TIME must precede all writes: see session_transition.lua.
if redis.replicate_commands then redis.replicate_commands() end

local due, entries, member = KEYS[1], KEYS[2], ARGV[1]
local clock = redis.call('TIME')
local now_ms = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

local function whole(number)
  return string.format('%.0f', number)
end

-- Delete what another application wrote under this app's key.
local function reclaim(key, kind)
  local actual = redis.call('TYPE', key).ok
  if actual ~= kind and actual ~= 'none' then redis.call('UNLINK', key) end
end

reclaim(due, 'zset')
reclaim(entries, 'hash')

local MAX_ENTRY_BYTES, MAX_LOST = 4096, 20000
local stored = redis.call('HSTRLEN', entries, member) <= MAX_ENTRY_BYTES and redis.call('HGET', entries, member) or ''
local attempts, first_ms, digest = stored:match('^(%d+) (%d+) %d+\n(%w*)\n')
attempts, first_ms = tonumber(attempts or 0), math.min(tonumber(first_ms or now_ms), now_ms)
-- Attempts are counted per content: other content under the same key starts at 1.
if attempts > 1e6 or (digest ~= ARGV[2] and digest ~= '' and ARGV[2] ~= '') then attempts, first_ms = 0, now_ms end
attempts = attempts + 1

local delay_ms = tonumber(ARGV[5 + attempts] or -1)
local entry = table.concat({ whole(attempts), whole(first_ms), whole(now_ms) }, ' ') .. '\n'
  .. (ARGV[2] == '' and (digest or '') or ARGV[2]) .. '\n' .. ARGV[3]
-- Redis undoes nothing when it refuses a command midway: EXPIRE, which changes nothing here, and the due time come first.
redis.call('EXPIRE', due, ARGV[4])
redis.call('ZADD', due, whole(now_ms + (delay_ms < 0 and tonumber(ARGV[5]) or delay_ms)), member)
redis.call('HSET', entries, member, entry)
local count = redis.call('HLEN', entries)
if count > redis.call('ZCARD', due) and count <= MAX_LOST then -- due times were lost: make their members due now
  for _, lost in ipairs(redis.call('HKEYS', entries)) do redis.call('ZADD', due, 'NX', whole(now_ms), lost) end
end
redis.call('EXPIRE', due, ARGV[4])
redis.call('EXPIRE', entries, ARGV[4])
return {attempts, delay_ms, first_ms, now_ms}
