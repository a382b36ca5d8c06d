-- Rename keys, or undo renames; never overwrites.
--
-- KEYS     pairs: the present name of a key, its new name
-- ARGV[1]  'look' returns what 'move' would do; 'move' renames; 'back' undoes a 'move' (with the names swapped);
--          'compare', for one pair, compares a key with the key at its new name
-- ARGV[2]  maximum size in bytes and number of elements of keys that are compared: 'bytes elements'
-- ARGV[3]  and following, for each pair: expiry in ms since 1970; '' for no change. 'move' sets it where the key has no
--          TTL and the time is in the future; 'back' removes a TTL that ends at this time, and no other
--
-- Returns for each pair: 'moved' ('look': would be), 'gone' (no such key) or 'taken' (the new name exists). 'compare'
-- returns 'same' for equal content, 'conflict' for different content or content too large to compare.
--
-- Invariant: a key is renamed in one step, with its TTL, and only where the new name is free; otherwise nothing is
-- written. Different contents are never 'same'; equal contents with different encodings may be 'conflict'.

-- TIME comes before the writes: see take_due_sessions.lua.
if redis.replicate_commands then redis.replicate_commands() end

local SAME_TIME_MS = 100 -- Redis returns the remaining TTL, which depends on its clock
local COUNT = { list = 'LLEN', hash = 'HLEN', set = 'SCARD', zset = 'ZCARD', stream = 'XLEN' }

local mode = ARGV[1]
local max_bytes, max_elements = ARGV[2]:match('^(%d+) (%d+)$')
local clock = redis.call('TIME')
local now_ms = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

local function small(key, kind)
  if kind == 'string' then return redis.call('STRLEN', key) <= tonumber(max_bytes) end
  return COUNT[kind] and redis.call(COUNT[kind], key) <= tonumber(max_elements)
    and redis.call('MEMORY', 'USAGE', key, 'SAMPLES', 0) <= tonumber(max_bytes)
end

local function same(source, target)
  local kind = redis.call('TYPE', source).ok
  return redis.call('TYPE', target).ok == kind and small(source, kind) and small(target, kind)
    and redis.call('DUMP', source) == redis.call('DUMP', target)
end

local function rename(source, target, expires_ms)
  redis.call('RENAME', source, target)
  if expires_ms == '' then return end
  local left_ms = redis.call('PTTL', target)
  if mode == 'move' and left_ms == -1 and tonumber(expires_ms) > now_ms then
    redis.call('PEXPIREAT', target, expires_ms)
  elseif mode == 'back' and left_ms >= 0 and math.abs(now_ms + left_ms - tonumber(expires_ms)) <= SAME_TIME_MS then
    redis.call('PERSIST', target)
  end
end

local function outcome(source, target, expires_ms)
  if redis.call('EXISTS', source) == 0 then return 'gone' end
  if mode == 'compare' then return same(source, target) and 'same' or 'conflict' end
  if redis.call('EXISTS', target) == 1 then return 'taken' end
  if mode ~= 'look' then rename(source, target, expires_ms) end
  return 'moved'
end

local outcomes = {}
for pair = 1, #KEYS / 2 do
  outcomes[pair] = outcome(KEYS[2 * pair - 1], KEYS[2 * pair], ARGV[2 + pair])
end
return outcomes
