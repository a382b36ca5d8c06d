-- Claim and read up to 64 batches in one round trip.
--
-- KEYS   per batch four keys: the batch, its result, its claim, its dead mark
--        last: the model (a hash)
-- ARGV   1 owner of the claims
--        2 length of a lease in ms
--        3 largest payload in bytes
--        4 maximum number of bytes to read in this call; further batches need another call
--        5 length in bytes of a result's head (see below)
--        6 "1" to return the model as well
--        7 TTL of a claim in s
--        8 TTL of a dead mark in s
--        9 maximum number of elements of a list, fields of a hash or entries of a stream
--        10 "1" to pass over batches with a result or a live claim without reading them
-- Returns {time in s, model as {field, value, ...} or {}, one array per batch ...}; an array is one of
--        {"gone"}                    no such key
--        {"done"}                    the result is for this content
--        {"passed"}                  see ARGV 10
--        {"dead"}                    this content is a dead letter
--        {"held"}                    another worker holds a live lease
--        {"foreign"}                 another application uses the claim's key; it was not changed
--        {"later"}                   ARGV 4 is used up
--        {"type", name}              neither string, hash, list nor stream
--        {"large", bytes at least}   above ARGV 3; not read
--        {"many", elements}          above ARGV 9; not read
--        {"error", text}             claiming this batch failed; the others are not affected
--        {"string", digest, attempt, token, ttl in ms, value}
--        {"list",   digest, attempt, token, ttl in ms, element, ...}
--        {"hash",   digest, attempt, token, ttl in ms, field, value, ...}   sorted by field
--        {"stream", digest, attempt, token, ttl in ms, id, number of fields, field, value, ..., id, ...}
--      The last four are claims. token is the fencing token. attempt is 1 plus the number of earlier claims on this
--      content that were not released (the worker died, or was slower than its lease).
-- digest is the SHA-1 of the content in hex; for a list, hash or stream, of its parts, each prefixed with its length, so that
-- equal content has an equal digest whatever its encoding in memory. Hashing takes longer than the rest of the script
-- and blocks Redis: a string with no result, claim or mark to compare with gets the digest "", and its holder computes
-- it.
--
-- A result begins with {"inputDigest":"<digest>" (ARGV 5 bytes), so it also marks its content as done: a deleted result
-- is computed again. A claim is a hash: owner, token, attempt, content, lease_until_ms, again.
--   content  identifies the claimed content, to count attempts: its digest, or, without one, its length, first and last
--            bytes. Equal content always has an equal `content`. Other content with the same length and edges counts as
--            equal if it is the second to be claimed, and then has one attempt less. A claim that takes over another
--            always has a digest, so the count is exact from there on.
--   again    the digest of the content that another worker last read during this claim. If it differs from what the
--            holder worked on, the holder looks at the batch again; content that was written back (A, B, A) does not
--            differ.
--
--     worker 1   claims content A ............................. commits A, sees again = B -> looks again, claims B
--     client                        writes B
--     worker 2                                reads B -> "held", sets again = B
--
-- Invariant: at most one live lease per batch, by Redis' clock. Tokens of a batch only grow: each is Redis' time in us,
-- or the last token plus 1 if the clock went back. (If both the claim and the clock were lost, the owner still
-- distinguishes two holders.)

-- TIME must precede all writes: Redis 5 and 6 can be configured to replicate scripts verbatim, and then refuse a write
-- after it.
if redis.replicate_commands then redis.replicate_commands() end

local owner, lease_ms = ARGV[1], tonumber(ARGV[2])
local max_bytes, bytes_left, head_bytes = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local max_parts, unclaimed_only = tonumber(ARGV[9]), ARGV[10] == '1'
local PART_BYTES = 16 -- overhead of an element, so that empty elements count too
local MAX_LEASE_MS = tonumber(ARGV[7]) * 1000 -- a lease that ends later was written before the clock was set back
local EDGE_BYTES = 64
local STEP, STREAM_STEP = 1000, 100
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

-- Per entry: id, number of fields, field, value, ... Pages overlap by their first entry, since an exclusive start of
-- XRANGE came with Redis 6.2.
local function read_stream(key)
  local parts, bytes, last_id = {}, 0, '-'
  repeat
    local page = redis.call('XRANGE', key, last_id, '+', 'COUNT', STREAM_STEP)
    for index = last_id == '-' and 1 or 2, #page do
      local fields = page[index][2]
      parts[#parts + 1] = page[index][1]
      parts[#parts + 1] = tostring(#fields / 2)
      bytes = bytes + 2 * PART_BYTES
      for _, part in ipairs(fields) do
        parts[#parts + 1] = part
        bytes = bytes + #part + PART_BYTES
      end
      if bytes > max_bytes then return nil, bytes end
    end
    if #page > 0 then last_id = page[#page][1] end
  until #page < STREAM_STEP
  return parts, bytes
end

local COUNT_COMMANDS = {list = 'LLEN', hash = 'HLEN', stream = 'XLEN'}
local READERS = {list = read_list, hash = read_hash, stream = read_stream}

-- Kind and parts; or nil, nil and the final reply.
local function read(key)
  local length = redis.pcall('STRLEN', key) -- nearly always a string, for which this one call suffices
  local kind = type(length) == 'number' and length > 0 and 'string' or redis.call('TYPE', key).ok
  local parts, bytes
  if kind == 'string' then
    bytes = length
    if bytes <= max_bytes then parts = {redis.call('GET', key)} end
  elseif READERS[kind] then
    local usage = redis.call('MEMORY', 'USAGE', key) -- an estimate from samples, without reading all of it
    if usage > 8 * max_bytes + 1e6 then return nil, nil, {'large', usage} end
    local count = redis.call(COUNT_COMMANDS[kind], key)
    if count > max_parts then return nil, nil, {'many', count} end
    parts, bytes = READERS[kind](key)
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
  local existing = redis.call('EXISTS', result, claim_key, mark_key)
  local new = existing == 0
  local head, mark
  if not new then
    head = redis.pcall('GETRANGE', result, 0, head_bytes - 1)
    if unclaimed_only then
      local until_ms = redis.pcall('HGET', claim_key, 'lease_until_ms')
      if head ~= '' or live(type(until_ms) == 'string' and until_ms) then return {'passed'} end
    end
    mark = redis.pcall('GET', mark_key)
  end
  local kind, parts, reply = read(key)
  if reply then
    if mark ~= '-' or reply[1] == 'gone' then return reply end
    redis.call('EXPIRE', mark_key, ARGV[8])
    return {'dead'}
  end

  local digest = new and kind == 'string' and '' or digest_of(kind, parts)
  local token, attempt = first_token, 1
  if not new then
    local settled = head == '{"inputDigest":"' .. digest .. '"' and 'done' or mark == digest and 'dead'
    if settled == 'dead' then redis.call('EXPIRE', mark_key, ARGV[8]) end
    if settled and existing == 1 then return {settled} end -- nearly always: there is no claim
    local last = redis.pcall('HMGET', claim_key, 'lease_until_ms', 'token', 'attempt', 'content')
    local last_token, last_attempt, last_content = last[2], tonumber(last[3]) or 0, last[4]
    local in_progress = last_token and live(last[1])
    if in_progress then redis.call('HSET', claim_key, 'again', digest) end
    if settled or in_progress then return {settled or 'held'} end
    if not last_token and redis.call('EXISTS', claim_key) == 1 then return {'foreign'} end
    if last_token then -- the holder died, or is slower than its lease
      token = string.format('%.0f', math.max(now_us, (tonumber(last_token) or 0) + 1))
      if last_content == digest or kind == 'string' and last_content == edges_of(parts[1]) then
        attempt = last_attempt + 1
      end
      redis.call('HDEL', claim_key, 'again') -- this claim read the present content
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
local replies = {tonumber(clock[1]), model}
for index = 1, #KEYS - 1, 4 do
  local ok, reply = pcall(claim, KEYS[index], KEYS[index + 1], KEYS[index + 2], KEYS[index + 3])
  replies[#replies + 1] = ok and reply or {'error', type(reply) == 'table' and reply.err or tostring(reply)}
end
return replies
