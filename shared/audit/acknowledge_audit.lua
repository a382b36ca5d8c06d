-- Notes how far the audit log is written, and deletes old entries that are written from the stream.
--
-- KEYS 1 state of the audit log (a hash)
--      2 the audit stream
-- ARGV 1 chain and 2 number of its last line that the state must name; '' where it has none
--      3 id of the last entry that is written
--      4 written entries that the stream keeps
--      5 most entries that are deleted at once
--      6 JSON object of counters of the state and what is added to each
--      7 fields and values of the state, in turn
-- Returns 1; 0 when the state names another place than expected: then nothing was changed.
--
-- Invariant: the head only moves on from where it was seen; who is late changes nothing. No entry is deleted that is not
-- behind the acknowledged position.

local last = ARGV[3]
if (redis.call('HGET', KEYS[1], 'chain') or '') ~= ARGV[1] then return 0 end
if (redis.call('HGET', KEYS[1], 'seq') or '') ~= ARGV[2] then return 0 end

for name, by in pairs(cjson.decode(ARGV[6])) do
  local counted = redis.pcall('HINCRBY', KEYS[1], name, by)
  if type(counted) == 'table' then redis.call('HSET', KEYS[1], name, by) end -- what was there is no number
end
redis.call('HSET', KEYS[1], unpack(ARGV, 7))

if last == '0-0' or redis.call('TYPE', KEYS[2]).ok ~= 'stream' then return 1 end
local keep = tonumber(ARGV[4])
local kept = redis.call('XREVRANGE', KEYS[2], last, '-', 'COUNT', keep)
if #kept < keep then return 1 end
local oldest = kept[keep][1]
local behind = {}
for _, entry in ipairs(redis.call('XRANGE', KEYS[2], '-', oldest, 'COUNT', tonumber(ARGV[5]))) do
  if entry[1] ~= oldest then table.insert(behind, entry[1]) end
end
if #behind > 0 then redis.call('XDEL', KEYS[2], unpack(behind)) end
return 1
