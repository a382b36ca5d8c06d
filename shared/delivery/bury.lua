-- Keep one dead letter, or none: and keep all of them within their bounds.
--
-- KEYS   1 index: sorted set, id to last time in ms
--        2 letters: hash, id to "attempts first_ms last_ms reactor\n" and the rest (ARGV 8, not read here)
--        3 payloads: hash, id to payload
--        4 totals: hash; bytes, payloads (how many there are), dropped (letters that went since it was full)
--        and with a letter
--        5 mark of its key
--        6 due times of retries: sorted set
--        7 entries of retries: hash
-- ARGV   1 most letters
--        2 most bytes, letters and payloads together
--        3 how long a letter is kept, in s; also the TTL of KEYS 1 to 4
--        and with a letter
--        4 id
--        5 reactor
--        6 member of the retries
--        7 attempts
--        8 the rest of the letter
--        9 payload, '' for none; with its letter it has no more than ARGV 2 bytes
--        10 mark
--        11 TTL of the mark in s
-- Returns {letters, their bytes, letters dropped}.
--
-- Invariant: index, letters, payloads and totals agree. A letter that is there already keeps its first time and adds up
-- its attempts. The oldest (by last time) make room, at most MAX_REMOVALS in a call: only a store that is far above its
-- bounds, since they were lowered or one payload takes the room of very many letters, takes several calls. When one of
-- the keys was lost, the others are made to agree again, in one pass over the letters (8 ms per 1,000).

-- TIME comes before the writes: see session_transition.lua.
if redis.replicate_commands then redis.replicate_commands() end

local MAX_REMOVALS = 1000
local index, letters, payloads, totals = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local max_letters, max_bytes, keep_s = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local id = ARGV[4]
local clock = redis.call('TIME')
local now_ms = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

local function whole(number)
  return string.format('%.0f', number)
end

local function count_of(text)
  return text and #text <= 15 and text:match('^%d+$') and tonumber(text) or nil
end

-- attempts, first_ms, last_ms of a letter or of an entry of the retries; nothing when it is neither.
local function times_of(text)
  if type(text) ~= 'string' then return end
  local attempts, first_ms, last_ms = text:match('^(%d+) (%d+) (%d+)[ \n]')
  attempts, first_ms, last_ms = count_of(attempts), count_of(first_ms), count_of(last_ms)
  if attempts and attempts < 1e9 and first_ms and last_ms then
    return attempts, math.min(first_ms, now_ms), math.min(last_ms, now_ms)
  end
end

for key, kind in pairs({ [index] = 'zset', [letters] = 'hash', [payloads] = 'hash', [totals] = 'hash' }) do
  local found = redis.call('TYPE', key).ok
  if found ~= kind and found ~= 'none' then redis.call('UNLINK', key) end -- another application's
end

local count = redis.call('ZCARD', index)
local known = redis.call('HMGET', totals, 'bytes', 'payloads', 'dropped')
local bytes = count_of(known[1]) or (count == 0 and 0)
local kept, dropped = count_of(known[2]) or 0, count_of(known[3]) or 0
local changed = id ~= nil

local function size(of)
  return redis.call('HSTRLEN', letters, of) + redis.call('HSTRLEN', payloads, of)
end

local function remove(one)
  bytes = bytes - size(one)
  count = count - redis.call('ZREM', index, one)
  kept = kept - redis.call('HDEL', payloads, one)
  redis.call('HDEL', letters, one)
  changed = true
end

local function make_them_agree()
  redis.call('UNLINK', index)
  count, kept, bytes, changed = 0, 0, 0, true
  for _, one in ipairs(redis.call('HKEYS', letters)) do
    local text = redis.call('HGET', letters, one)
    local _, _, last_ms = times_of(text)
    if last_ms then
      redis.call('ZADD', index, whole(last_ms), one)
      local payload_bytes = redis.call('HSTRLEN', payloads, one)
      count, bytes, kept = count + 1, bytes + #text + payload_bytes, kept + (payload_bytes > 0 and 1 or 0)
    else
      redis.call('HDEL', letters, one)
    end
  end
  if kept == redis.call('HLEN', payloads) then return end
  for _, one in ipairs(redis.call('HKEYS', payloads)) do
    if redis.call('HEXISTS', letters, one) == 0 then redis.call('HDEL', payloads, one) end
  end
  kept = redis.call('HLEN', payloads)
end

if not bytes or count ~= redis.call('HLEN', letters) or kept ~= redis.call('HLEN', payloads) then
  make_them_agree()
end

local old = redis.call('ZRANGEBYSCORE', index, '-inf', whole(now_ms - keep_s * 1000), 'LIMIT', 0, MAX_REMOVALS)
for _, one in ipairs(old) do remove(one) end

local letter
if id then
  local attempts, first_ms = times_of(redis.call('HGET', letters, id))
  local _, failed_ms = times_of(redis.pcall('HGET', KEYS[7], ARGV[6]))
  attempts, first_ms = (attempts or 0) + tonumber(ARGV[7]), math.min(first_ms or now_ms, failed_ms or now_ms)
  letter = table.concat({ whole(attempts), whole(first_ms), whole(now_ms), ARGV[5] }, ' ') .. '\n' .. ARGV[8]
  remove(id)
end

local more, more_bytes = letter and 1 or 0, letter and #letter + #ARGV[9] or 0
for _ = #old + 1, MAX_REMOVALS do
  if count == 0 or (count + more <= max_letters and bytes + more_bytes <= max_bytes) then break end
  remove(redis.call('ZRANGE', index, 0, 0)[1])
  dropped = dropped + 1
end

if letter then
  redis.call('ZADD', index, whole(now_ms), id)
  redis.call('HSET', letters, id, letter)
  if ARGV[9] ~= '' then kept = kept + redis.call('HSET', payloads, id, ARGV[9]) end
  count, bytes = count + 1, bytes + more_bytes
  redis.call('SET', KEYS[5], ARGV[10], 'EX', ARGV[11])
  redis.pcall('ZREM', KEYS[6], ARGV[6])
  redis.pcall('HDEL', KEYS[7], ARGV[6])
end

if changed then
  redis.call('HSET', totals, 'bytes', whole(bytes), 'payloads', whole(kept), 'dropped', whole(dropped))
  for position = 1, 4 do redis.call('EXPIRE', KEYS[position], ARGV[3]) end
end
return {count, bytes, dropped}
