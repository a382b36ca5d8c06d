-- What the scripts of a chart's refresh begin with: it is sent before each of them (script.py).
--
-- KEYS, ARGV: those of the script.
-- Returns nothing. It defines `now` (Redis' time in ms) and the functions below.
--
-- Invariant: what another application wrote under this app's keys is neither loaded, if it is long, nor kept.

-- TIME must precede all writes: see take_due_sessions.lua.
if redis.replicate_commands then redis.replicate_commands() end

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

local function whole(value)
  return string.format('%.0f', value)
end

-- The number of a field; nil for what is none, NaN included.
local function number(text)
  local value = tonumber(text or '')
  return value == value and value or nil
end

-- Fields of a hash; one that another application made long is not loaded.
local function fields_of(key, ...)
  local values = {}
  for at, name in ipairs({ ... }) do
    values[at] = redis.call('HSTRLEN', key, name) <= 500 and redis.call('HGET', key, name) or false
  end
  return values
end

-- Delete what another application wrote under this app's key.
local function reclaim(key, kind)
  local actual = redis.call('TYPE', key).ok
  if actual ~= kind and actual ~= 'none' then redis.call('UNLINK', key) end
end

-- SHA-1 of a string; of one longer than `most` bytes, that of its begin and its end, as much together.
local function digest_of(key, size, most)
  if size <= most then return redis.sha1hex(redis.call('GET', key)) end
  return redis.sha1hex(redis.call('GETRANGE', key, 0, most / 2 - 1) .. redis.call('GETRANGE', key, size - most / 2, -1))
end
