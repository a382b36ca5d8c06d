-- Commit the analysis of one batch: result, model and message, all at once.
--
-- KEYS   1 result
--        2 model (a hash; its fields are described in shared/baseline.py)
-- ARGV   1 result, JSON
--        2 TTL of the result in s
--        3 TTL of the model in s
--        4 what the batch adds to the model
--        5 length of a generation in s
--        6 channel
--        7 message, JSON
--        8 a fold of the model: m, how many fields it merged
--        9 o, how many fields are outdated
--        10 ... m merged fields, o outdated fields, then what to store: field, value, field, value, ...
-- Returns the model's new version.
--
-- Invariant: what a batch adds is in the model once, in its own `+` field or in the sketch that it was folded into.
-- So a fold is refused (quietly: a later one does it) unless every field that it merged is still there.

local result, model = KEYS[1], KEYS[2]

local function fold()
  local merged, removed = tonumber(ARGV[8]), tonumber(ARGV[8]) + tonumber(ARGV[9])
  for index = 10, 9 + merged do
    if redis.call('HEXISTS', model, ARGV[index]) == 0 then return end
  end
  for index = 10, 9 + removed do redis.call('HDEL', model, ARGV[index]) end
  for index = 10 + removed, #ARGV, 2 do redis.call('HSET', model, ARGV[index], ARGV[index + 1]) end
end

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
redis.call('PUBLISH', ARGV[6], ARGV[7])
return version
