-- Commit the analyses of up to 64 batches: results, model and messages, all or nothing.
--
-- KEYS   per batch two keys: its result, its claim
--        last: the model (a hash; its fields are described in shared/batches/baseline.py)
-- ARGV   1 TTL of a result in s
--        2 TTL of the model in s
--        3 length of a generation in s
--        4 channel
--        5 owner of the claims
--        6 delta that these batches together add to the model, '' for none
--        7 maximum bytes of unfolded deltas, 8 maximum number of fields of the model
--        9 length in bytes of a result's head, {"inputDigest":"<digest>": an equal head means equal content
--        10 a fold of the model: the field `unfolded` as it was read, 11 the bytes by which it exceeds the deltas,
--        12 m, number of fields that it merged, 13 o, number of fields to remove
--        14 ... per batch three: result (JSON), message (JSON), fencing token of the claim
--        then m merged fields, o fields to remove, and the fields to store: field, value, field, value, ...
-- Returns first 1, or 0 if the model had no room for the delta; then per batch
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
-- If Redis refuses a command of this script (full, read-only, an ACL), there is neither result nor message nor delta.

-- TIME must precede all writes: Redis 5 and 6 can be configured to replicate scripts verbatim, and then refuse a write
-- after it.
if redis.replicate_commands then redis.replicate_commands() end

local PER_BATCH, FIRST = 3, 14
local count = (#KEYS - 1) / 2
local model = KEYS[#KEYS]
local generation = math.floor(tonumber(redis.call('TIME')[1]) / tonumber(ARGV[3]))

local function of(batch, offset) return ARGV[FIRST + (batch - 1) * PER_BATCH + offset] end

local function head_of(batch) return of(batch, 0):sub(1, tonumber(ARGV[9])) end

local results, claims = {}, {}
for batch = 1, count do results[batch], claims[batch] = KEYS[2 * batch - 1], KEYS[2 * batch] end

local replies, done, all = {1}, {}, true
local no_results = redis.call('EXISTS', unpack(results)) == 0
for batch = 1, count do
  local claim = redis.pcall('HMGET', claims[batch], 'owner', 'token', 'again')
  local owner, token, other_digest = claim[1], claim[2], claim[3]
  local ours = owner == ARGV[5] and token == of(batch, 2)
  local changed = ours and other_digest and head_of(batch) ~= '{"inputDigest":"' .. other_digest .. '"'
  if not no_results and redis.pcall('GETRANGE', results[batch], 0, ARGV[9] - 1) == head_of(batch) then
    replies[1 + batch], all = changed and 'same again' or 'same', false
    if ours then done[#done + 1] = claims[batch] end
  elseif not ours then
    replies[1 + batch], all = 'stale', false
  else
    replies[1 + batch] = changed and 'again' or 'committed'
  end
end

if not all then
  if #done > 0 then redis.call('UNLINK', unpack(done)) end
  for position, reply in ipairs(replies) do
    if reply == 'committed' or reply == 'again' then replies[position] = 'not yet' end
  end
  return replies
end

-- Redis undoes nothing when it refuses a command midway. So commands that change nothing come first, one for each
-- command that is needed after the messages: a message that was published cannot be taken back. Clients cannot observe
-- the order of commands within a script.
redis.call('SET', results[1], '', (no_results or redis.call('EXISTS', results[1]) == 0) and 'XX' or 'NX')
redis.call('HSET', claims[1], 'owner', ARGV[5])
local expires = redis.call('EXPIRE', model, ARGV[2]) == 1
local folds = ARGV[11] ~= '0' or ARGV[12] + ARGV[13] > 0
local can_fold = folds and type(redis.pcall('HDEL', claims[1], '')) == 'number'
if redis.call('TYPE', model).ok ~= 'hash' then
  redis.call('UNLINK', model)
  expires = false
end
redis.call('UNLINK', unpack(claims)) -- alone it does no harm: the batches are claimed again
for batch = 1, count do redis.call('PUBLISH', ARGV[4], of(batch, 1)) end

-- A count that the model stores, up to 14 digits; 0 for what is none. HINCRBY would refuse another application's value,
-- and Lua writes larger numbers as 1e+14.
local function stored(field)
  local text = redis.call('HSTRLEN', model, field) <= 14 and redis.call('HGET', model, field) or ''
  return text:find('^%d+$') and tonumber(text) or 0
end

local function whole(number) return string.format('%.0f', number) end

local function fold()
  local start = FIRST + count * PER_BATCH
  local merged, removed = tonumber(ARGV[12]), tonumber(ARGV[12]) + tonumber(ARGV[13])
  local drift, freed = tonumber(ARGV[11]), 0
  for index = start, start + merged - 1 do
    if redis.call('HEXISTS', model, ARGV[index]) == 0 then return 0 end
  end
  if merged == 0 and (redis.call('HGET', model, 'unfolded') or '') ~= ARGV[10] then drift = 0 end
  for index = start, start + removed - 1 do
    if ARGV[index]:byte() == 43 then freed = freed + redis.call('HSTRLEN', model, ARGV[index]) end -- a `+` field
    redis.call('HDEL', model, ARGV[index])
  end
  for index = start + removed, #ARGV, 2 do redis.call('HSET', model, ARGV[index], ARGV[index + 1]) end
  return freed + drift
end

local unfolded = math.max(0, stored('unfolded') - (can_fold and fold() or 0))
local version = stored('version') + count
if version >= 1e14 then version = count end
local delta = ARGV[6]
if delta ~= '' and unfolded + #delta <= tonumber(ARGV[7]) and redis.call('HLEN', model) < tonumber(ARGV[8]) then
  redis.call('HSET', model, '+' .. generation .. ':' .. whole(version), delta)
  unfolded = unfolded + #delta
elseif delta ~= '' then
  replies[1] = 0
end
redis.call('HSET', model, 'version', whole(version), 'unfolded', whole(unfolded))
if not expires then redis.call('EXPIRE', model, ARGV[2]) end

for batch = 1, count do redis.call('SET', results[batch], of(batch, 0), 'EX', ARGV[1]) end
return replies
