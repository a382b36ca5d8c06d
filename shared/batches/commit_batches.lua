-- Commit the analyses of some batches: results, model and messages, all at once and all or none.
--
-- KEYS   per batch two keys: its result, its claim
--        last: the model (a hash; its fields are described in shared/batches/baseline.py)
-- ARGV   1 TTL of a result in s
--        2 TTL of the model in s
--        3 length of a generation in s
--        4 channel
--        5 owner of the claims
--        6 what these batches add to the model, together
--        7 a fold of the model: m, how many fields it merged
--        8 o, how many fields are outdated
--        9 length in bytes of a result's head, {"inputDigest":"<digest>": what begins alike is of the same content
--        10 ... per batch three: result (JSON), message (JSON), fencing token of the claim
--        then m merged fields, o outdated fields, and what to store: field, value, field, value, ...
-- Returns per batch
--        "committed"  everything was written, and the claim is released
--        "again"      the same; others last found other content there: look at it again
--        "same"       the result is of this content already
--        "same again" both
--        "stale"      the claim is another's by now, or gone
--        "not yet"    nothing is the matter with this one; commit it without those
--      Where one is "same" or "stale", nothing was written: what they add to the model could not be told apart.
--
-- Invariants: only the holder of a claim writes. What a batch adds is in the model once, in a `+` field or in the
-- sketch that it was folded into: a fold is refused (quietly: a later one does it) unless every field that it merged is
-- still there.

-- TIME comes before the writes: Redis 5 and 6 can be set to replicate scripts verbatim and would refuse that.
if redis.replicate_commands then redis.replicate_commands() end

local PER_BATCH, FIRST = 3, 10
local count = (#KEYS - 1) / 2
local model = KEYS[#KEYS]

local function of(batch, offset) return ARGV[FIRST + (batch - 1) * PER_BATCH + offset] end

local function head_of(batch) return of(batch, 0):sub(1, tonumber(ARGV[9])) end

local results, claims = {}, {}
for batch = 1, count do results[batch], claims[batch] = KEYS[2 * batch - 1], KEYS[2 * batch] end

local answers, done, all = {}, {}, true
local nothing_there = redis.call('EXISTS', unpack(results)) == 0
for batch = 1, count do
  local held = redis.pcall('HMGET', claims[batch], 'owner', 'token', 'again')
  local ours = held[1] == ARGV[5] and held[2] == of(batch, 2)
  local again = ours and held[3] and head_of(batch) ~= '{"inputDigest":"' .. held[3] .. '"'
  if not nothing_there and redis.pcall('GETRANGE', results[batch], 0, ARGV[9] - 1) == head_of(batch) then
    answers[batch], all = again and 'same again' or 'same', false
    if ours then done[#done + 1] = claims[batch] end
  elseif not ours then
    answers[batch], all = 'stale', false
  else
    answers[batch] = again and 'again' or 'committed'
  end
end

if not all then
  if #done > 0 then redis.call('DEL', unpack(done)) end
  for batch, answer in ipairs(answers) do
    if answer == 'committed' or answer == 'again' then answers[batch] = 'not yet' end
  end
  return answers
end

-- First what Redis may refuse to this user: nothing was written then. Nobody sees the order inside of a script.
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
if type(version) == 'table' then -- another application wrote no number there
  redis.call('HSET', model, 'version', count)
  version = count
end
local generation = math.floor(tonumber(redis.call('TIME')[1]) / tonumber(ARGV[3]))
redis.call('HSET', model, '+' .. generation .. ':' .. version, ARGV[6])
redis.call('EXPIRE', model, ARGV[2])

for batch = 1, count do redis.call('SET', results[batch], of(batch, 0), 'EX', ARGV[1]) end
return answers
