-- Claim and read up to 64 batches in one round trip.
--
-- KEYS   per batch four keys: the batch, its result, its claim, its dead mark
--        last: the model (a hash)
-- ARGV   1 owner: who claims
--        2 length of a lease in ms
--        3 largest payload in bytes
--        4 bytes to read at the most in all; further batches are for another call
--        5 length in bytes of the result's head (see below)
--        6 "1" to return the model as well
--        7 time to live of a claim in s
--        8 time to live of a dead mark in s
--        9 most elements of a list, or fields of a hash
--        10 "1" to pass over batches that have a result or a holder already, whatever their content: no reading then
-- Returns {time in s, model as {field, value, ...} or {}, one array per batch ...}, each of
--        {"gone"}                    no such key
--        {"done"}                    the result was made from this very content
--        {"passed"}                  see ARGV 10
--        {"dead"}                    this content became a dead letter
--        {"held"}                    somebody holds a live lease on it; if on other content, that holder will look again
--                                    when it commits
--        {"foreign"}                 another application keeps something under the claim's key; it was left alone
--        {"later"}                   ARGV 4 is used up
--        {"type", name}              neither string, hash nor list
--        {"large", bytes at least}   above ARGV 3; not read
--        {"many", elements}          above ARGV 9; not read
--        {"error", text}             this one could not be claimed; the others were
--        {"string", digest, attempt, token, ttl in ms, value}
--        {"list",   digest, attempt, token, ttl in ms, element, ...}
--        {"hash",   digest, attempt, token, ttl in ms, field, value, ...}   sorted by field
--      The last three are claims: attempt counts the claims on this content that did not end (the worker died, or was
--      slower than its lease), token is the fencing token.
-- digest is the SHA-1 of the content in hex; of a list or hash, of its parts each with its length in front, so that
-- equal content has an equal digest whatever its encoding in memory.
--
-- A result begins with {"inputDigest":"<digest>" (ARGV 5 bytes), so the result is its own done-marker: whoever deletes
-- it gets it made anew. A claim is a hash: owner, token, attempt, digest, lease_until_ms, again.
--
-- Invariant: at most one live lease per batch, by Redis' clock. Tokens of a batch only grow: they are Redis' time in
-- us, or one more than the last one where its clock went back. (Where both the claim and the clock were lost, the
-- owner still tells two holders apart.)

-- TIME comes before the writes: Redis 5 and 6 can be set to replicate scripts verbatim and would refuse that.
if redis.replicate_commands then redis.replicate_commands() end

local owner, lease_ms = ARGV[1], tonumber(ARGV[2])
local max_bytes, bytes_left, head_bytes = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local max_parts, unclaimed_only = tonumber(ARGV[9]), ARGV[10] == '1'
local PART_BYTES = 16 -- what an element costs beside its bytes, so that empty ones count too
local MAX_LEASE_MS = tonumber(ARGV[7]) * 1000 -- a lease that ends later was written before the clock was set back
local STEP = 1000
local clock = redis.call('TIME')
local now_us = tonumber(clock[1]) * 1e6 + tonumber(clock[2])
local now_ms = math.floor(now_us / 1000)

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
      bytes = bytes + #element + PART_BYTES
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
        bytes = bytes + #name + #value + 2 * PART_BYTES
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

-- {kind, digest, parts}, or an answer that ends the matter as the second value.
local function read(key, mark)
  local length = redis.pcall('STRLEN', key) -- nearly always a string: one call tells all
  local kind = type(length) == 'number' and length > 0 and 'string' or redis.call('TYPE', key).ok
  if kind == 'none' then return nil, {'gone'} end
  if kind ~= 'string' and kind ~= 'list' and kind ~= 'hash' then
    return nil, mark == '-' and {'dead'} or {'type', kind}
  end
  local parts, bytes
  if kind == 'string' then
    bytes = length
    if bytes <= max_bytes then parts = {redis.call('GET', key)} end
  else
    local usage = redis.call('MEMORY', 'USAGE', key) -- an estimate by samples, before reading
    if usage > 8 * max_bytes + 1e6 then return nil, mark == '-' and {'dead'} or {'large', usage} end
    local count = redis.call(kind == 'list' and 'LLEN' or 'HLEN', key)
    if count > max_parts then return nil, mark == '-' and {'dead'} or {'many', count} end
    if kind == 'list' then parts, bytes = read_list(key) else parts, bytes = read_hash(key) end
  end
  if parts == nil then return nil, mark == '-' and {'dead'} or {'large', bytes} end
  bytes_left = bytes_left - bytes
  return {kind, kind == 'string' and redis.sha1hex(parts[1]) or digest_of(parts), parts}
end

local function live(lease_until_ms)
  local until_ms = tonumber(lease_until_ms) or 0
  return until_ms > now_ms and until_ms <= now_ms + MAX_LEASE_MS
end

local function claim(key, result, claim_key, mark_key)
  if bytes_left <= 0 then return {'later'} end
  local head = redis.pcall('GETRANGE', result, 0, head_bytes - 1)
  if unclaimed_only then
    local until_ms = redis.pcall('HGET', claim_key, 'lease_until_ms')
    if head ~= '' or live(type(until_ms) == 'string' and until_ms) then return {'passed'} end
  end
  local mark = redis.pcall('GET', mark_key)
  local found, answer = read(key, mark)
  if not found then
    if answer[1] == 'dead' then redis.call('EXPIRE', mark_key, ARGV[8]) end
    return answer
  end
  local kind, digest, parts = found[1], found[2], found[3]
  if head == '{"inputDigest":"' .. digest .. '"' then
    return {'done'}
  end
  if mark == digest then
    redis.call('EXPIRE', mark_key, ARGV[8])
    return {'dead'}
  end
  local claim_type = redis.call('TYPE', claim_key).ok
  if claim_type ~= 'none' and (claim_type ~= 'hash' or redis.call('HEXISTS', claim_key, 'token') == 0) then
    return {'foreign'}
  end
  local held = redis.call('HMGET', claim_key, 'lease_until_ms', 'token', 'attempt', 'digest')
  if live(held[1]) then
    if held[4] ~= digest then redis.call('HSET', claim_key, 'again', '1') end
    return {'held'}
  end
  local token = string.format('%.0f', math.max(now_us, (tonumber(held[2]) or 0) + 1))
  local attempt = held[4] == digest and (tonumber(held[3]) or 0) + 1 or 1
  redis.call('HSET', claim_key, 'owner', owner, 'token', token, 'attempt', attempt, 'digest', digest,
    'lease_until_ms', string.format('%.0f', now_ms + lease_ms), 'again', '0')
  redis.call('EXPIRE', claim_key, ARGV[7])
  local claimed = {kind, digest, attempt, token, redis.call('PTTL', key)}
  for index = 1, #parts do claimed[index + 5] = parts[index] end
  return claimed
end

local model_key = KEYS[#KEYS]
local model = {}
if ARGV[6] == '1' and redis.call('TYPE', model_key).ok == 'hash' then
  model = redis.call('HGETALL', model_key)
end
local answer = {tonumber(clock[1]), model}
for index = 1, #KEYS - 1, 4 do
  local done, found = pcall(claim, KEYS[index], KEYS[index + 1], KEYS[index + 2], KEYS[index + 3])
  answer[#answer + 1] = done and found or {'error', type(found) == 'table' and found.err or tostring(found)}
end
return answer
