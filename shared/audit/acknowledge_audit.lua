-- Stores the acknowledged head of the audit log, and deletes old written entries from the stream.
--
-- KEYS 1 state of the audit log (a hash)
--      2 the audit stream
-- ARGV 1 chain and 2 seq that the state has to name; '' for none
--      3 id of the last written entry
--      4 how many written entries the stream keeps
--      5 how many entries are deleted in one call
--      6 JSON object: counter of the state to its increment
--      7 fields and values of the state, alternating
-- Returns 1, or 0 if the state names another chain or seq: then nothing was changed.
--
-- Invariant: compare and set: only an exporter that has seen the current head replaces it. Only entries before the
-- acknowledged one are deleted.

-- Whether somebody has put large entries into the part of the stream that is read here: see read_audit.lua.
local function is_oversized(key)
  return redis.call('MEMORY', 'USAGE', key, 'SAMPLES', 600) > 8388608 + 6144 * redis.call('XLEN', key)
end

local last = ARGV[3]
if (redis.call('HGET', KEYS[1], 'chain') or '') ~= ARGV[1] then return 0 end
if (redis.call('HGET', KEYS[1], 'seq') or '') ~= ARGV[2] then return 0 end

-- The place first: it makes the rest single. If Redis refuses the rest (an ACL), counters stay behind and entries longer.
redis.call('HSET', KEYS[1], unpack(ARGV, 7))
for name, by in pairs(cjson.decode(ARGV[6])) do
  local count = redis.pcall('HINCRBY', KEYS[1], name, by)
  if type(count) == 'table' and count.err:find('not an integer', 1, true) then redis.call('HSET', KEYS[1], name, by) end
end

if last == '0-0' or redis.call('TYPE', KEYS[2]).ok ~= 'stream' or is_oversized(KEYS[2]) then return 1 end
local keep = tonumber(ARGV[4])
local kept = redis.call('XREVRANGE', KEYS[2], last, '-', 'COUNT', keep)
if #kept < keep then return 1 end
local oldest = kept[keep][1]
local old = {}
for _, entry in ipairs(redis.call('XRANGE', KEYS[2], '-', oldest, 'COUNT', tonumber(ARGV[5]))) do
  if entry[1] ~= oldest then table.insert(old, entry[1]) end
end
if #old > 0 then redis.pcall('XDEL', KEYS[2], unpack(old)) end
return 1
