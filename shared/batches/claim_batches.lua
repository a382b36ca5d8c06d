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
--        {"done"}                    the result was made from this very content; should somebody be at work on other
--                                    content, written in between, that holder will look again when it is done
--        {"passed"}                  see ARGV 10
--        {"dead"}                    this content became a dead letter
--        {"held"}                    somebody holds a live lease on it; if on other content, that holder will look again
--                                    when it is done
--        {"foreign"}                 another application keeps something under the claim's key; it was left alone
--        {"later"}                   ARGV 4 is used up
--        {"type", name}              neither string, hash nor list
--        {"large", bytes at least}   above ARGV 3; not read
--        {"many", elements}          above ARGV 9; not read
--        {"error", text}             this one could not be claimed; the others were
--        {"string", digest, attempt, token, ttl in ms, value}
--        {"list",   digest, attempt, token, ttl in ms, element, ...}
--        {"hash",   digest, attempt, token, ttl in ms, field, value, ...}   sorted by field
--      The last three are claims: token is the fencing token, attempt is one more than the claims on this content that
--      did not end (the worker died, or was slower than its lease).
-- digest is the SHA-1 of the content in hex; of a list or hash, of its parts each with its length in front, so that
-- equal content has an equal digest whatever its encoding in memory. It takes longer than all the rest, and Redis is
-- one for all: where there is neither result nor claim nor mark to compare with, a string's is "" and left to whoever
-- claims it.
--
-- A result begins with {"inputDigest":"<digest>" (ARGV 5 bytes), so the result is its own done-marker: whoever deletes
-- it gets it made anew. A claim is a hash: owner, token, attempt, content, lease_until_ms, again.
--   content  tells what was claimed from other content, for attempt: the digest, or where there was none, length, first
--            and last bytes. The same content is never taken for other; other content of the same length and edges is
--            taken for the same if it is the second to be claimed, and has one attempt less then. Each claim that takes
--            over another one has a digest, so that from there on the count is exact.
--   again    the digest of what others last found there while this claim was live. Its holder has to look again if that
--            is not what it worked on; content that was written back in the meantime (A, B, A) is no reason to.
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
local EDGE_BYTES = 64
local STEP = 1000
local clock = redis.call('TIME')
local now_us = tonumber(clock[1]) * 1e6 + tonumber(clock[2])
local now_ms = math.floor(now_us / 1000)
local first_token, lease_until_ms = string.format('%.0f', now_us), string.format('%.0f', now_ms + lease_ms)

local function digest_of(kind, parts)
  if kind == 'string' then return redis.sha1hex(parts[1]) end
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

-- Kind and parts, or an answer that ends the matter as the third value.
local function read(key)
  local length = redis.pcall('STRLEN', key) -- nearly always a string: one call tells all
  local kind = type(length) == 'number' and length > 0 and 'string' or redis.call('TYPE', key).ok
  local parts, bytes
  if kind == 'string' then
    bytes = length
    if bytes <= max_bytes then parts = {redis.call('GET', key)} end
  elseif kind == 'list' or kind == 'hash' then
    local usage = redis.call('MEMORY', 'USAGE', key) -- an estimate by samples, before reading
    if usage > 8 * max_bytes + 1e6 then return nil, nil, {'large', usage} end
    local count = redis.call(kind == 'list' and 'LLEN' or 'HLEN', key)
    if count > max_parts then return nil, nil, {'many', count} end
    if kind == 'list' then parts, bytes = read_list(key) else parts, bytes = read_hash(key) end
  else
    return nil, nil, kind == 'none' and {'gone'} or {'type', kind}
  end
  if parts == nil then return nil, nil, {'large', bytes} end
  bytes_left = bytes_left - bytes
  return kind, parts
end

local function edges_of(value)
  return #value .. ' ' .. value:sub(1, EDGE_BYTES) .. value:sub(-EDGE_BYTES)
end

local function live(lease_until_ms)
  local until_ms = tonumber(lease_until_ms) or 0
  return until_ms > now_ms and until_ms <= now_ms + MAX_LEASE_MS
end

local function claim(key, result, claim_key, mark_key)
  if bytes_left <= 0 then return {'later'} end
  local there = redis.call('EXISTS', result, claim_key, mark_key)
  local new = there == 0
  local head, mark
  if not new then
    head = redis.pcall('GETRANGE', result, 0, head_bytes - 1)
    if unclaimed_only then
      local until_ms = redis.pcall('HGET', claim_key, 'lease_until_ms')
      if head ~= '' or live(type(until_ms) == 'string' and until_ms) then return {'passed'} end
    end
    mark = redis.pcall('GET', mark_key)
  end
  local kind, parts, answer = read(key)
  if answer then
    if mark ~= '-' or answer[1] == 'gone' then return answer end
    redis.call('EXPIRE', mark_key, ARGV[8])
    return {'dead'}
  end

  local digest = new and kind == 'string' and '' or digest_of(kind, parts)
  local token, attempt = first_token, 1
  if not new then
    local ended = head == '{"inputDigest":"' .. digest .. '"' and 'done' or mark == digest and 'dead'
    if ended == 'dead' then redis.call('EXPIRE', mark_key, ARGV[8]) end
    if ended and there == 1 then return {ended} end -- nearly always: nobody claims it
    local held = redis.pcall('HMGET', claim_key, 'lease_until_ms', 'token', 'attempt', 'content')
    local somebody_at_it = held[2] and live(held[1])
    if somebody_at_it then redis.call('HSET', claim_key, 'again', digest) end
    if ended or somebody_at_it then return {ended or 'held'} end
    if not held[2] and redis.call('EXISTS', claim_key) == 1 then return {'foreign'} end
    if held[2] then -- its holder died, or is too slow
      token = string.format('%.0f', math.max(now_us, (tonumber(held[2]) or 0) + 1))
      if held[4] == digest or kind == 'string' and held[4] == edges_of(parts[1]) then
        attempt = (tonumber(held[3]) or 0) + 1
      end
      redis.call('HDEL', claim_key, 'again') -- what others found there is read by now, or replaced
    end
  end
  redis.call('HSET', claim_key, 'owner', owner, 'token', token, 'attempt', attempt,
    'content', digest ~= '' and digest or edges_of(parts[1]), 'lease_until_ms', lease_until_ms)
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
