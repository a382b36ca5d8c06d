-- Commit the analyses of up to 64 batches: results, model and messages, all or nothing.
--
-- KEYS   per batch two keys: its result, its claim
--        last: the model (a hash; its fields are described in shared/batches/baseline.py)
-- ARGV   1 TTL of a result in s
--        2 TTL of the model in s
--        3 length of a generation in s
--        4 channel
--        5 owner of the claims
--        6 delta that these batches together add to the model
--        7 a fold of the model: m, number of fields that it merged
--        8 o, number of outdated fields
--        9 length in bytes of a result's head, {"inputDigest":"<digest>": an equal head means equal content
--        10 ... per batch three: result (JSON), message (JSON), fencing token of the claim
--        then m merged fields, o outdated fields, and the fields to store: field, value, field, value, ...
-- Returns per batch
--        "committed"   everything was written, and the claim is released
--        "again"       as "committed"; another worker read other content during the claim: look at the batch again
--        "same"        the result is for this content already
--        "same again"  as "same"; look at the batch again
--        "stale"       the claim is gone, or another worker's
--        "not yet"     nothing was written because of a "same" or "stale" batch: commit this one without those
--      If any batch is "same" or "stale", nothing is written: the delta cannot be divided among batches.
--
-- Invariants: only the holder of a claim writes. The model has the values of a batch once, in a `+` field or in the
-- sketch that it was folded into: a fold is skipped unless every field that it merged exists (a later fold repeats it).

-- TIME must precede all writes: Redis 5 and 6 can be configured to replicate scripts verbatim, and then refuse a write
-- after it.
if redis.replicate_commands then redis.replicate_commands() end

local PER_BATCH, FIRST = 3, 10
local count = (#KEYS - 1) / 2
local model = KEYS[#KEYS]

local function of(batch, offset) return ARGV[FIRST + (batch - 1) * PER_BATCH + offset] end

local function head_of(batch) return of(batch, 0):sub(1, tonumber(ARGV[9])) end

local results, claims = {}, {}
for batch = 1, count do results[batch], claims[batch] = KEYS[2 * batch - 1], KEYS[2 * batch] end

local replies, done, all = {}, {}, true
local no_results = redis.call('EXISTS', unpack(results)) == 0
for batch = 1, count do
  local claim = redis.pcall('HMGET', claims[batch], 'owner', 'token', 'again')
  local owner, token, other_digest = claim[1], claim[2], claim[3]
  local ours = owner == ARGV[5] and token == of(batch, 2)
  local changed = ours and other_digest and head_of(batch) ~= '{"inputDigest":"' .. other_digest .. '"'
  if not no_results and redis.pcall('GETRANGE', results[batch], 0, ARGV[9] - 1) == head_of(batch) then
    replies[batch], all = changed and 'same again' or 'same', false
    if ours then done[#done + 1] = claims[batch] end
  elseif not ours then
    replies[batch], all = 'stale', false
  else
    replies[batch] = changed and 'again' or 'committed'
  end
end

if not all then
  if #done > 0 then redis.call('DEL', unpack(done)) end
  for batch, reply in ipairs(replies) do
    if reply == 'committed' or reply == 'again' then replies[batch] = 'not yet' end
  end
  return replies
end

-- PUBLISH comes first: an ACL may forbid it, and then nothing has been written. Clients cannot observe the order of
-- commands within a script.
for batch = 1, count do redis.call('PUBLISH', ARGV[4], of(batch, 1)) end
redis.call('DEL', unpack(claims))

local function fold()
  local start = FIRST + count * PER_BATCH
  local merged, removed = tonumber(ARGV[7]), tonumber(ARGV[7]) + tonumber(ARGV[8])
  for index = start, start + merged - 1 do
    if redis.call('HEXISTS', model, ARGV[index]) == 0 then return end
  end
  for index = start, start + removed - 1 do redis.call('HDEL', model, ARGV[index]) end
  for index = start + removed, #ARGV, 2 do redis.call('HSET', model, ARGV[index], ARGV[index + 1]) end
end

if redis.call('TYPE', model).ok ~= 'hash' then redis.call('UNLINK', model) end
fold()
local version = redis.pcall('HINCRBY', model, 'version', count)
if type(version) == 'table' then -- an error: another application wrote something that is not a number
  redis.call('HSET', model, 'version', count)
  version = count
end
local generation = math.floor(tonumber(redis.call('TIME')[1]) / tonumber(ARGV[3]))
redis.call('HSET', model, '+' .. generation .. ':' .. version, ARGV[6])
redis.call('EXPIRE', model, ARGV[2])

for batch = 1, count do redis.call('SET', results[batch], of(batch, 0), 'EX', ARGV[1]) end
return replies
