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
--        11 maximum number of fields, 12 of bytes in memory of a model to return, 13 of bytes of one of its fields
-- Returns {time in s, fields dropped from the model, model as {field, value, ...} or {}, one array per batch ...}; an
--      array is one of
--        {"gone"}                    no such key
--        {"done"}                    the result is for this content
--        {"passed"}                  see ARGV 10
--        {"dead"}                    this content is a dead letter
--        {"held"}                    another worker holds a live lease
--        {"foreign"}                 another application uses the claim's key; it was not changed
--        {"later"}                   ARGV 4 is used up
--        {"later", "large"}          content above ARGV 4 is read by a call that reads nothing else
--        {"type", name}              neither string, hash, list nor stream
--        {"large", bytes}            above ARGV 3, or in memory far above it; not read
--        {"many", elements}          above ARGV 9; not read
--        {"error", text}             claiming this batch failed; the others are not affected
--        {kind, digest, attempt, token, ttl in ms, head, mark, parts}   a claim. kind and parts are
--            string  value
--            list    element, ...
--            hash    field, value, ...   sorted by field if there is a digest
--            stream  id, number of fields, field, value, ..., id, ...
--      token is the fencing token. attempt is 1 plus the number of earlier claims on this content that were not
--      released (the worker died, or was slower than its lease). head and mark are '' unless the holder has to compare
--      them with the digest itself: the head of the result, and the dead mark.
-- digest is the SHA-1 of the content in hex; for a list, hash or stream, of its parts, each prefixed with its length, so that
-- equal content has an equal digest whatever its encoding in memory. Hashing takes longer than the rest of the script
-- and blocks Redis (20 ms per MiB of small parts): for a string with no result, claim or mark to compare with, and for a
-- collection above HASH_BYTES or HASH_PARTS, the digest is "", and the holder computes it.
--
-- The size of a collection is measured before anything of it is loaded: the number of its elements, then MEMORY USAGE
-- over all of them, at most ARGV 9 (2 ms).
--
-- A result begins with {"inputDigest":"<digest>" (ARGV 5 bytes), so it also marks its content as done: a deleted result
-- is computed again. A claim is a hash: owner, token, attempt, content, lease_until_ms, again.
--   content  identifies the claimed content, to count attempts: its digest, or, without one, its length, first and last
--            bytes; of a collection, the number and bytes of its parts. Equal content always has an equal `content`.
--            Other content that agrees in these counts as equal if it is the second to be claimed, and then has one
--            attempt less. A claim that takes over another has a digest, so the count is exact from there on, except
--            for collections that are not hashed here.
--   again    the digest of the content that another worker last read during this claim. If it differs from what the
--            holder worked on, the holder looks at the batch again; content that was written back (A, B, A) does not
--            differ. "?" for content without a digest.
--
--     worker 1   claims content A ............................. commits A, sees again = B -> looks again, claims B
--     client                        writes B
--     worker 2                                reads B -> "held", sets again = B
--
-- Invariant: at most one live lease per batch, by Redis' clock. Tokens of a batch only grow: each is Redis' time in us,
-- or the last token plus 1 if the clock went back. (If both the claim and the clock were lost, the owner still
-- distinguishes two holders.) A lease is live for ARGV 2 at most: one that ends later was written before the clock was
-- set back, and is over. If Redis refuses a command, there is no claim, and no attempt is counted.

-- TIME must precede all writes: Redis 5 and 6 can be configured to replicate scripts verbatim, and then refuse a write
-- after it.
if redis.replicate_commands then redis.replicate_commands() end

local owner, lease_ms = ARGV[1], tonumber(ARGV[2])
local max_bytes, bytes_left, head_bytes = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local max_parts, unclaimed_only = tonumber(ARGV[9]), ARGV[10] == '1'
local PART_BYTES = 16 -- overhead of an element, so that empty elements count too
local PART_COST = 128 -- bytes of a string that cost Redis as much time as an element
local HASH_BYTES, HASH_PARTS = 256 * 1024, 2048
local EDGE_BYTES = 64
local STREAM_STEP = 100
local clock = redis.call('TIME')
local now_us = tonumber(clock[1]) * 1e6 + tonumber(clock[2])
local now_ms = math.floor(now_us / 1000)
local first_token, lease_until_ms = string.format('%.0f', now_us), string.format('%.0f', now_ms + lease_ms)
local room = bytes_left

local function digest_of(kind, parts)
  if kind == 'string' then return redis.sha1hex(parts[1]) end
  local framed, length = {}, 0
  for _, part in ipairs(parts) do
    framed[length + 1], framed[length + 2], framed[length + 3] = #part, ':', part
    length = length + 3
  end
  return redis.sha1hex(table.concat(framed))
end

local function read_list(key) return redis.call('LRANGE', key, 0, -1) end

local function read_hash(key, sorted)
  local flat = redis.call('HGETALL', key)
  if not sorted then return flat end
  local values, names, parts = {}, {}, {}
  for index = 1, #flat, 2 do
    names[#names + 1] = flat[index]
    values[flat[index]] = flat[index + 1]
  end
  table.sort(names)
  for index, name in ipairs(names) do
    parts[2 * index - 1], parts[2 * index] = name, values[name]
  end
  return parts
end

-- Per entry: id, number of fields, field, value, ... In pages, because the names of fields can take many times the
-- memory that MEMORY USAGE counts: stops above ARGV 3. Pages overlap by their first entry, since an exclusive start of
-- XRANGE came with Redis 6.2.
local function read_stream(key)
  local parts, bytes, last_id = {}, 0, '-'
  repeat
    local page = redis.call('XRANGE', key, last_id, '+', 'COUNT', STREAM_STEP)
    for index = last_id == '-' and 1 or 2, #page do
      local fields = page[index][2]
      parts[#parts + 1] = page[index][1]
      parts[#parts + 1] = tostring(#fields / 2)
      for _, part in ipairs(fields) do
        parts[#parts + 1] = part
        bytes = bytes + #part
      end
    end
    if #page > 0 then last_id = page[#page][1] end
  until #page < STREAM_STEP or bytes > max_bytes
  return parts
end

local COUNT_COMMANDS = {list = 'LLEN', hash = 'HLEN', stream = 'XLEN'}
local READERS = {list = read_list, hash = read_hash, stream = read_stream}

-- Kind, bytes (of a collection in memory) and number of elements; nil, nil, nil and the final reply for what is not
-- read.
local function measure(key)
  local length = redis.pcall('STRLEN', key) -- nearly always a string, for which this one call suffices
  local kind = type(length) == 'number' and length > 0 and 'string' or redis.call('TYPE', key).ok
  if kind == 'string' then
    if length > max_bytes then return nil, nil, nil, {'large', length} end
    return kind, length, 1
  end
  if not COUNT_COMMANDS[kind] then return nil, nil, nil, kind == 'none' and {'gone'} or {'type', kind} end
  local count = redis.call(COUNT_COMMANDS[kind], key)
  if count > max_parts then return nil, nil, nil, {'many', count} end
  local bytes = redis.call('MEMORY', 'USAGE', key, 'SAMPLES', 0)
  -- The allocator rounds up by a quarter; small elements have up to 400 bytes around them.
  if bytes > 1.25 * max_bytes + 400 * count + 65536 then return nil, nil, nil, {'large', bytes} end
  return kind, bytes, count
end

local function read(key, kind, sorted)
  if kind == 'string' then return {redis.call('GET', key)} end
  return READERS[kind](key, sorted)
end

local function size_of(kind, parts)
  if kind == 'string' then return #parts[1] end
  local bytes = PART_BYTES * #parts
  for _, part in ipairs(parts) do bytes = bytes + #part end
  return bytes
end

local function identity_of(kind, parts, bytes)
  if kind ~= 'string' then return kind .. ' ' .. #parts .. ' ' .. bytes end
  return bytes .. ' ' .. parts[1]:sub(1, EDGE_BYTES) .. parts[1]:sub(-EDGE_BYTES)
end

-- A count that a claim stores, at most `limit`; 0 for what is none.
local function count_of(text, limit)
  local number = type(text) == 'string' and #text <= 16 and text:find('^%d+$') and tonumber(text) or 0
  return number <= limit and number or 0
end

local function live(lease_until_ms)
  local until_ms = count_of(lease_until_ms, 2 ^ 53)
  return until_ms > now_ms and until_ms <= now_ms + lease_ms
end

-- The fields of a claim; nil for none; nil and true for what another application wrote there.
local function claim_at(claim_key)
  if redis.call('EXISTS', claim_key) == 0 then return nil end
  for _, field in ipairs({'lease_until_ms', 'token', 'attempt', 'content'}) do
    local length = redis.pcall('HSTRLEN', claim_key, field)
    if type(length) ~= 'number' or length > 4 * EDGE_BYTES then return nil, true end
  end
  local fields = redis.call('HMGET', claim_key, 'lease_until_ms', 'token', 'attempt', 'content')
  if not fields[2] then return nil, true end
  return {until_ms = fields[1], token = fields[2], attempt = fields[3], content = fields[4]}
end

-- Keep a dead mark while its content exists. That of a discarded letter lives longer (discard.lua) and stays as it is.
local function renew(mark_key)
  if redis.call('PTTL', mark_key) < tonumber(ARGV[8]) * 1000 then redis.call('EXPIRE', mark_key, ARGV[8]) end
end

local function claim(key, result, claim_key, mark_key, large_too)
  if bytes_left <= 0 then return {'later'} end
  local existing = redis.call('EXISTS', result, claim_key, mark_key)
  local new = existing == 0
  local head, mark = '', ''
  if not new then
    head = redis.pcall('GETRANGE', result, 0, head_bytes - 1)
    if unclaimed_only then
      local last = head == '' and claim_at(claim_key)
      if head ~= '' or last and live(last.until_ms) then return {'passed'} end
    end
    head = type(head) == 'string' and head or ''
    mark = redis.pcall('GETRANGE', mark_key, 0, 40)
    mark = type(mark) == 'string' and mark or ''
  end
  local kind, bytes, count, reply = measure(key)
  if kind and bytes > room and not large_too then return {'later', 'large'} end
  local hashed, parts = kind == 'string' and not new, nil
  if kind then
    if kind ~= 'string' then hashed = bytes <= HASH_BYTES and count <= HASH_PARTS end
    parts = read(key, kind, hashed)
    bytes = size_of(kind, parts)
    if bytes > max_bytes then reply = {'large', bytes} end
  end
  if reply then
    if mark ~= '-' or reply[1] == 'gone' then return reply end
    renew(mark_key)
    return {'dead'}
  end
  bytes_left = bytes_left - bytes - (PART_COST - PART_BYTES) * (kind == 'string' and 0 or #parts)

  local digest = hashed and digest_of(kind, parts) or ''
  local token, attempt = first_token, 1
  if not new then
    local settled = hashed and (head == '{"inputDigest":"' .. digest .. '"' and 'done' or mark == digest and 'dead')
    if settled == 'dead' or not hashed and mark ~= '' then renew(mark_key) end
    if settled and existing == 1 then return {settled} end -- nearly always: there is no claim
    local last, foreign = claim_at(claim_key)
    local in_progress = last and live(last.until_ms)
    if in_progress then redis.call('HSET', claim_key, 'again', hashed and digest or '?') end
    if settled or in_progress then return {settled or 'held'} end
    if foreign then return {'foreign'} end
    if last then -- the holder died, or is slower than its lease
      token = string.format('%.0f', math.max(now_us, count_of(last.token, 2 ^ 53 - 2) + 1))
      if last.content == digest or last.content == identity_of(kind, parts, bytes) then
        attempt = count_of(last.attempt, 1000) + 1
      end
      redis.call('HDEL', claim_key, 'again') -- this claim read the present content
    end
  end
  redis.call('HSET', claim_key, 'owner', owner, 'token', token, 'attempt', attempt,
    'content', digest ~= '' and digest or identity_of(kind, parts, bytes), 'lease_until_ms', lease_until_ms)
  local expires = redis.pcall('EXPIRE', claim_key, ARGV[7])
  if type(expires) == 'table' then -- refused: no worker gets this claim, and none must wait for its lease
    redis.call('HSET', claim_key, 'lease_until_ms', 0, 'attempt', attempt - 1)
    if new then redis.pcall('UNLINK', claim_key) end
    return {'error', expires.err}
  end
  if hashed then head, mark = '', '' end
  return {kind, digest, attempt, token, redis.call('PTTL', key), head, mark, parts}
end

local model_key, dropped = KEYS[#KEYS], 0

local function fits(max_fields)
  return redis.call('HLEN', model_key) <= max_fields
    and redis.call('MEMORY', 'USAGE', model_key, 'SAMPLES', 0) <= tonumber(ARGV[12])
end

-- Make a model fit that has grown beyond its bounds, by another application or an earlier version: without the fields
-- that are too large, or without any. It is FastAPI's key, but a cache.
local function shrink_model(max_fields)
  local fields = redis.call('HLEN', model_key)
  if fields <= max_fields then
    for _, name in ipairs(redis.call('HKEYS', model_key)) do
      if redis.call('HSTRLEN', model_key, name) > tonumber(ARGV[13]) then
        dropped = dropped + redis.call('HDEL', model_key, name)
      end
    end
  end
  if dropped == 0 or not fits(max_fields) then
    redis.call('UNLINK', model_key)
    dropped = fields
  end
end

local function read_model()
  if redis.call('TYPE', model_key).ok ~= 'hash' then return {} end
  local max_fields = tonumber(ARGV[11])
  if not fits(max_fields) and not pcall(shrink_model, max_fields) then return {} end
  return redis.call('HGETALL', model_key)
end

local model = ARGV[6] == '1' and read_model() or {}
local replies = {tonumber(clock[1]), dropped, model}
local function reply_for(index, large_too)
  local ok, reply = pcall(claim, KEYS[index], KEYS[index + 1], KEYS[index + 2], KEYS[index + 3], large_too)
  return ok and reply or {'error', type(reply) == 'table' and reply.err or tostring(reply)}
end

-- Content that is larger than the room of a call gets one of its own, after all others: these must not wait for it.
local large
for index = 1, #KEYS - 1, 4 do
  local reply = reply_for(index, false)
  replies[#replies + 1] = reply
  if reply[2] == 'large' and not large then large = {key = index, reply = #replies} end
end
if large and bytes_left == room then replies[large.reply] = reply_for(large.key, true) end
return replies
