-- Notes how far the audit log is written, and deletes old entries that are written from the stream.
--
-- KEYS 1 state of the audit log (a hash)
--      2 the audit stream
-- ARGV 1 chain that the state must name; '' for none yet
--      2 chain, 3 number of its last line
--      4 id of the last entry that is written
--      5 written entries that the stream keeps
--      6 most entries that are deleted at once
--      7 JSON object of counters of the state and what is added to each
--      8 fields and values of the state, in turn
-- Returns 1; 0 when the state names another chain than expected, or is ahead: then nothing was changed.
--
-- Invariant: the head only moves forward within a chain, and to another chain only from the one that was expected.
-- No entry is deleted that is not behind the acknowledged position.

local expected, chain, seq, last = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local present = redis.call('HGET', KEYS[1], 'chain') or ''
if present ~= expected then return 0 end
if present == chain and (tonumber(redis.call('HGET', KEYS[1], 'seq')) or 0) > seq then return 0 end

for name, by in pairs(cjson.decode(ARGV[7])) do redis.call('HINCRBY', KEYS[1], name, by) end
redis.call('HSET', KEYS[1], unpack(ARGV, 8))

if last == '0-0' or redis.call('TYPE', KEYS[2]).ok ~= 'stream' then return 1 end
local keep = tonumber(ARGV[5])
local kept = redis.call('XREVRANGE', KEYS[2], last, '-', 'COUNT', keep)
if #kept < keep then return 1 end
local oldest = kept[keep][1]
local behind = {}
for _, entry in ipairs(redis.call('XRANGE', KEYS[2], '-', oldest, 'COUNT', tonumber(ARGV[6]))) do
  if entry[1] ~= oldest then table.insert(behind, entry[1]) end
end
if #behind > 0 then redis.call('XDEL', KEYS[2], unpack(behind)) end
return 1
