-- Count one more failure of a key, and set when it is tried again.
--
-- KEYS   1 due times: sorted set, member to ms
--        2 entries: hash, member to "attempts first_ms last_ms\n" and what failed (ARGV 2, not read here)
-- ARGV   1 member
--        2 digest of the content that failed, "" where it was not read
--        3 what failed
--        4 TTL of both keys in s
--        5 a lease in ms: when a key is due whose attempts are used up
--        6 ... the wait in ms after the first failure, after the second ...; past their end attempts are used up
-- Returns {attempts, wait in ms or -1 when attempts are used up, first failure in ms, this failure in ms}.
--
-- Invariant: whatever has an entry has a due time, so that no failure is forgotten. An entry that is missing or that
-- cannot be read counts as no failure yet.

-- TIME comes before the writes: see session_transition.lua.
if redis.replicate_commands then redis.replicate_commands() end

local due, entries, member = KEYS[1], KEYS[2], ARGV[1]
local clock = redis.call('TIME')
local now_ms = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

local function whole(number)
  return string.format('%.0f', number)
end

-- What another application left under our name goes.
local function own(key, kind)
  local found = redis.call('TYPE', key).ok
  if found ~= kind and found ~= 'none' then redis.call('UNLINK', key) end
end

own(due, 'zset')
own(entries, 'hash')

local attempts, first_ms, digest = (redis.call('HGET', entries, member) or ''):match('^(%d+) (%d+) %d+\n(%w*)\n')
attempts, first_ms = tonumber(attempts or 0), math.min(tonumber(first_ms or now_ms), now_ms)
-- Other content under the same key has attempts of its own.
if attempts > 1e6 or (digest ~= ARGV[2] and digest ~= '' and ARGV[2] ~= '') then attempts, first_ms = 0, now_ms end
attempts = attempts + 1

local wait_ms = tonumber(ARGV[5 + attempts] or -1)
local entry = table.concat({ whole(attempts), whole(first_ms), whole(now_ms) }, ' ') .. '\n'
  .. (ARGV[2] == '' and (digest or '') or ARGV[2]) .. '\n' .. ARGV[3]
redis.call('HSET', entries, member, entry)
redis.call('ZADD', due, whole(now_ms + (wait_ms < 0 and tonumber(ARGV[5]) or wait_ms)), member)
if redis.call('HLEN', entries) > redis.call('ZCARD', due) then -- the due times were lost: all of them are due
  for _, lost in ipairs(redis.call('HKEYS', entries)) do redis.call('ZADD', due, 'NX', whole(now_ms), lost) end
end
redis.call('EXPIRE', due, ARGV[4])
redis.call('EXPIRE', entries, ARGV[4])
return {attempts, wait_ms, first_ms, now_ms}
