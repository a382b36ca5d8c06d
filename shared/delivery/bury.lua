-- Store a dead letter, if one is passed, and keep the store of all dead letters within its bounds.
--
-- KEYS   1 index: sorted set, id to last time in ms
--        2 letters: hash, id to "attempts first_ms last_ms reactor\n" followed by the body (ARGV 8, not parsed here)
--        3 payloads: hash, id to payload
--        4 totals: hash; bytes, payloads (their number), dropped (letters removed because the store was full)
--        only with a letter:
--        5 mark of its key
--        6 due times of retries: sorted set
--        7 entries of retries: hash
-- ARGV   1 maximum number of letters
--        2 maximum bytes of letters and payloads together
--        3 how long to keep a letter, in s; also the TTL of KEYS 1 to 4
--        only with a letter:
--        4 id
--        5 reactor
--        6 member of the retries
--        7 attempts
--        8 body of the letter
--        9 payload, '' for none; letter and payload together have at most ARGV 2 bytes
--        10 mark
--        11 TTL of the mark in s
-- Returns {number of letters, their bytes, letters dropped}.
--
-- Invariant: index, letters, payloads and totals are consistent. A letter that exists keeps its first time and adds the
-- attempts. If the store is full, the oldest letters by last time are removed, at most MAX_REMOVALS per call: only a
-- store far above its bounds takes several calls (the bounds were lowered, or a payload replaces very many letters). If
-- one of the keys was lost, the others are rebuilt in one pass over the letters (8 ms per 1,000). A letter that is ahead
-- of the clock is of now: the clock was set back. If Redis refuses a command, the letter is as before.

-- TIME must precede all writes: see session_transition.lua.
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

-- A non-negative integer of up to 15 digits, else nil.
local function count_of(text)
  return text and #text <= 15 and text:match('^%d+$') and tonumber(text) or nil
end

-- attempts, first_ms, last_ms of a letter or of an entry of the retries; nil if it is neither.
local function header_of(text)
  if type(text) ~= 'string' then return end
  local attempts, first_ms, last_ms = text:match('^(%d+) (%d+) (%d+)[ \n]')
  attempts, first_ms, last_ms = count_of(attempts), count_of(first_ms), count_of(last_ms)
  if attempts and attempts < 1e9 and first_ms and last_ms then
    return attempts, math.min(first_ms, now_ms), math.min(last_ms, now_ms)
  end
end

for key, kind in pairs({ [index] = 'zset', [letters] = 'hash', [payloads] = 'hash', [totals] = 'hash' }) do
  local actual = redis.call('TYPE', key).ok
  if actual ~= kind and actual ~= 'none' then redis.call('UNLINK', key) end -- written by another application
end

local count = redis.call('ZCARD', index)
local stored = redis.call('HMGET', totals, 'bytes', 'payloads', 'dropped')
local bytes = count_of(stored[1]) or (count == 0 and 0)
local payload_count, dropped = count_of(stored[2]) or 0, count_of(stored[3]) or 0
local changed = id ~= nil

local function size(letter_id)
  return redis.call('HSTRLEN', letters, letter_id) + redis.call('HSTRLEN', payloads, letter_id)
end

local function remove(letter_id)
  bytes = bytes - size(letter_id)
  count = count - redis.call('ZREM', index, letter_id)
  payload_count = payload_count - redis.call('HDEL', payloads, letter_id)
  redis.call('HDEL', letters, letter_id)
  changed = true
end

-- Rebuild index and totals from the letters; remove payloads without a letter.
local function rebuild()
  redis.call('UNLINK', index)
  count, payload_count, bytes, changed = 0, 0, 0, true
  for _, letter_id in ipairs(redis.call('HKEYS', letters)) do
    local text = redis.call('HGET', letters, letter_id)
    local _, _, last_ms = header_of(text)
    if last_ms then
      redis.call('ZADD', index, whole(last_ms), letter_id)
      local payload_bytes = redis.call('HSTRLEN', payloads, letter_id)
      count, bytes = count + 1, bytes + #text + payload_bytes
      if payload_bytes > 0 then payload_count = payload_count + 1 end
    else
      redis.call('HDEL', letters, letter_id)
    end
  end
  if payload_count == redis.call('HLEN', payloads) then return end
  for _, letter_id in ipairs(redis.call('HKEYS', payloads)) do
    if redis.call('HEXISTS', letters, letter_id) == 0 then redis.call('HDEL', payloads, letter_id) end
  end
  payload_count = redis.call('HLEN', payloads)
end

if not bytes or count ~= redis.call('HLEN', letters) or payload_count ~= redis.call('HLEN', payloads) then
  rebuild()
end

-- Redis undoes nothing when it refuses a command midway. So each command that is needed below comes first where it
-- changes nothing; HSET last, because it may create the totals.
if id then
  redis.call('SET', KEYS[5], '', redis.call('EXISTS', KEYS[5]) == 1 and 'NX' or 'XX')
  redis.call('ZADD', index, 'XX', 0, '')
  redis.call('ZREM', index, '')
  redis.call('HDEL', letters, '')
  redis.call('EXPIRE', index, ARGV[3])
  redis.call('HSET', totals, 'dropped', whole(dropped))
end

local ahead = redis.call('ZRANGEBYSCORE', index, '(' .. whole(now_ms), '+inf', 'LIMIT', 0, MAX_REMOVALS)
for _, letter_id in ipairs(ahead) do redis.call('ZADD', index, whole(now_ms), letter_id) end
local expired = redis.call('ZRANGEBYSCORE', index, '-inf', whole(now_ms - keep_s * 1000), 'LIMIT', 0, MAX_REMOVALS)
for _, letter_id in ipairs(expired) do remove(letter_id) end

local letter
if id then
  local attempts, first_ms = header_of(redis.call('HGET', letters, id))
  local _, failed_ms = header_of(redis.pcall('HGET', KEYS[7], ARGV[6]))
  attempts, first_ms = (attempts or 0) + tonumber(ARGV[7]), math.min(first_ms or now_ms, failed_ms or now_ms)
  letter = table.concat({ whole(attempts), whole(first_ms), whole(now_ms), ARGV[5] }, ' ') .. '\n' .. ARGV[8]
  remove(id)
end

local new_count, new_bytes = letter and 1 or 0, letter and #letter + #ARGV[9] or 0
for _ = #expired + 1, MAX_REMOVALS do
  if count == 0 or (count + new_count <= max_letters and bytes + new_bytes <= max_bytes) then break end
  remove(redis.call('ZRANGE', index, 0, 0)[1])
  dropped = dropped + 1
end

if letter then
  redis.call('ZADD', index, whole(now_ms), id)
  redis.call('HSET', letters, id, letter)
  if ARGV[9] ~= '' then payload_count = payload_count + redis.call('HSET', payloads, id, ARGV[9]) end
  count, bytes = count + 1, bytes + new_bytes
  redis.call('SET', KEYS[5], ARGV[10], 'EX', ARGV[11])
  redis.pcall('ZREM', KEYS[6], ARGV[6])
  redis.pcall('HDEL', KEYS[7], ARGV[6])
end

if changed then
  redis.call('HSET', totals, 'bytes', whole(bytes), 'payloads', whole(payload_count), 'dropped', whole(dropped))
  for position = 1, 4 do redis.call('EXPIRE', KEYS[position], ARGV[3]) end
end
return {count, bytes, dropped}
