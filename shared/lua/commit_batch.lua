-- Commit the analysis of one batch: result, model and message, all at once.
--
-- KEYS   1 result
--        2 model (a hash; its fields are described in shared/baseline.py)
--        3 claim
-- ARGV   1 result, JSON
--        2 TTL of the result in s
--        3 TTL of the model in s
--        4 what the batch adds to the model
--        5 length of a generation in s
--        6 channel
--        7 message, JSON
--        8 owner of the claim
--        9 fencing token of the claim
--        10 head of the result: it is of this content when it begins so
--        11 a fold of the model: m, how many fields it merged
--        12 o, how many fields are outdated
--        13 ... m merged fields, o outdated fields, then what to store: field, value, field, value, ...
-- Returns
--        "committed"  everything was written, and the claim is released
--        "again"      the same; somebody wanted the batch meanwhile: look at it again
--        "same"       the result is of this content already; nothing was written
--        "same again" both
--        "stale"      the claim is another's by now, or gone; nothing was written
--
-- Invariants: only the holder of the claim writes. What a batch adds is in the model once, in its own `+` field or in
-- the sketch that it was folded into: a fold is refused (quietly: a later one does it) unless every field that it
-- merged is still there.

-- TIME comes before the writes: Redis 5 and 6 can be set to replicate scripts verbatim and would refuse that.
if redis.replicate_commands then redis.replicate_commands() end

local result, model, claim = KEYS[1], KEYS[2], KEYS[3]
local FOLD = 13

local function fold()
  local merged, removed = tonumber(ARGV[11]), tonumber(ARGV[11]) + tonumber(ARGV[12])
  for index = FOLD, FOLD - 1 + merged do
    if redis.call('HEXISTS', model, ARGV[index]) == 0 then return end
  end
  for index = FOLD, FOLD - 1 + removed do redis.call('HDEL', model, ARGV[index]) end
  for index = FOLD + removed, #ARGV, 2 do redis.call('HSET', model, ARGV[index], ARGV[index + 1]) end
end

local held = redis.pcall('HMGET', claim, 'owner', 'token', 'again')
local ours = held[1] == ARGV[8] and held[2] == ARGV[9]
if redis.pcall('GETRANGE', result, 0, #ARGV[10] - 1) == ARGV[10] then
  if ours then redis.call('DEL', claim) end
  return ours and held[3] == '1' and 'same again' or 'same'
end
if not ours then return 'stale' end

-- First what Redis may refuse to this user: nothing was written then. Nobody sees the order inside of a script.
redis.call('PUBLISH', ARGV[6], ARGV[7])
redis.call('DEL', claim)

if redis.call('TYPE', model).ok ~= 'hash' then redis.call('UNLINK', model) end
fold()
local version = redis.pcall('HINCRBY', model, 'version', 1)
if type(version) == 'table' then -- another application wrote no number there
  redis.call('HSET', model, 'version', 1)
  version = 1
end
local generation = math.floor(tonumber(redis.call('TIME')[1]) / tonumber(ARGV[5]))
redis.call('HSET', model, '+' .. generation .. ':' .. version, ARGV[4])
redis.call('EXPIRE', model, ARGV[3])

redis.call('SET', result, ARGV[1], 'EX', ARGV[2])
return held[3] == '1' and 'again' or 'committed'
