-- Read up to 64 batches in one round trip.
--
-- KEYS   per batch two keys: the batch, its result
--        last: the model (a hash)
-- ARGV   1 largest payload in bytes
--        2 length in bytes of the result's head (see below)
--        3 "1" to return the model as well
-- Returns {time in s, model as {field, value, ...} or {}, one array per batch ...}, each of
--        {"gone"}                             no such key
--        {"done"}                             the result was made from this very content
--        {"type", name}                       neither string, hash nor list
--        {"large", bytes at least}            above ARGV 1; not read
--        {"string", digest, value}
--        {"list", digest, element, ...}
--        {"hash", digest, field, value, ...}  sorted by field
-- digest is the SHA-1 of the content in hex; of a list or hash, of its parts each with its length in front, so that
-- equal content has an equal digest whatever its encoding in memory.
--
-- A result begins with {"inputDigest":"<digest>" (ARGV 2 bytes), so the result is its own done-marker: whoever deletes
-- it gets it made anew. Invariant: writes nothing.

local max_bytes, head_bytes = tonumber(ARGV[1]), tonumber(ARGV[2])
local STEP = 1000

local function digest_of(parts)
  local framed = {}
  for _, part in ipairs(parts) do
    framed[#framed + 1] = #part .. ':' .. part
  end
  return redis.sha1hex(table.concat(framed))
end

local function read_list(key)
  local parts, bytes = {}, 0
  for start = 0, redis.call('LLEN', key) - 1, STEP do
    for _, element in ipairs(redis.call('LRANGE', key, start, start + STEP - 1)) do
      parts[#parts + 1] = element
      bytes = bytes + #element
      if bytes > max_bytes then return nil, bytes end
    end
  end
  return parts, bytes
end

local function read_hash(key)
  local values, names, bytes, cursor = {}, {}, 0, '0'
  repeat
    local page = redis.call('HSCAN', key, cursor, 'COUNT', STEP)
    cursor = page[1]
    for index = 1, #page[2], 2 do
      local name, value = page[2][index], page[2][index + 1]
      if values[name] == nil then
        names[#names + 1] = name
        bytes = bytes + #name + #value
      end
      values[name] = value
      if bytes > max_bytes then return nil, bytes end
    end
  until cursor == '0'
  table.sort(names)
  local parts = {}
  for _, name in ipairs(names) do
    parts[#parts + 1] = name
    parts[#parts + 1] = values[name]
  end
  return parts, bytes
end

local function read(key, result)
  local kind = redis.call('TYPE', key).ok
  if kind == 'none' then return {'gone'} end
  local digest, parts
  if kind == 'string' then
    local bytes = redis.call('STRLEN', key)
    if bytes > max_bytes then return {'large', bytes} end
    local value = redis.call('GET', key)
    digest, parts = redis.sha1hex(value), {value}
  elseif kind == 'list' or kind == 'hash' then
    local bytes
    if kind == 'list' then parts, bytes = read_list(key) else parts, bytes = read_hash(key) end
    if parts == nil then return {'large', bytes} end
    digest = digest_of(parts)
  else
    return {'type', kind}
  end
  if redis.call('TYPE', result).ok == 'string'
      and redis.call('GETRANGE', result, 0, head_bytes - 1) == '{"inputDigest":"' .. digest .. '"' then
    return {'done'}
  end
  local found = {kind, digest}
  for index = 1, #parts do found[index + 2] = parts[index] end
  return found
end

local model_key = KEYS[#KEYS]
local model = {}
if ARGV[3] == '1' and redis.call('TYPE', model_key).ok == 'hash' then
  model = redis.call('HGETALL', model_key)
end
local answer = {tonumber(redis.call('TIME')[1]), model}
for index = 1, #KEYS - 1, 2 do
  answer[#answer + 1] = read(KEYS[index], KEYS[index + 1])
end
return answer
