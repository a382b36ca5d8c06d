-- Rebuilds an audit stream to which nothing can be added any more, because somebody added an entry with the greatest
-- possible id. One call copies a part; the last one puts the copy in the stream's place.
--
-- KEYS 1 the audit stream
--      2 the copy
--      3 state of the audit log (a hash); `repair_after`, `repair_copied` and `repair_dropped` are this script's
-- ARGV 1 how many entries are read in one call
--      2 a record of the repair, as JSON up to its data; `{"dropped":...}}` follows
-- Returns 'intact' if entries can be added, 'partly' if another call has to follow, 'repaired' after the last one.
--
-- Invariant: entries keep their ids, and thereby the exporter its position. Of entries more than a day in the future,
-- records that are not exported yet are moved to the end of the copy, others are dropped. Nothing can be added to the
-- stream meanwhile, so the copy is complete. The entry with the greatest id is never loaded: it may be large.

-- TIME precedes writes: Redis 5 and 6 refuse that when they are set to replicate scripts verbatim.
if redis.replicate_commands then redis.replicate_commands() end

local DAY_MS = 86400000
local LAST_BUT_ONE = '18446744073709551615-18446744073709551614'
local clock = redis.call('TIME')
local limit_ms = tonumber(clock[1]) * 1000 + DAY_MS

local function ms_of(id) return tonumber(id:match('^(%d+)-%d+$')) or 0 end
local function number_of(text) return text and #text <= 15 and text:find('^%d+$') and tonumber(text) or 0 end
local function state(name) return redis.call('HGET', KEYS[3], name) end

local function is_full()
  if redis.call('TYPE', KEYS[1]).ok ~= 'stream' then return false end
  local reply = redis.pcall('XADD', KEYS[1], '0-1', 'n', '0') -- refused in any case, but in a stream that is new
  if type(reply) == 'string' then redis.call('XDEL', KEYS[1], reply) end
  return type(reply) == 'table' and reply.err:find('exhausted', 1, true) ~= nil
end

local function forget() redis.call('HDEL', KEYS[3], 'repair_after', 'repair_copied', 'repair_dropped') end

if not is_full() then
  redis.call('UNLINK', KEYS[2])
  forget()
  return 'intact'
end
local after, copied, dropped = state('repair_after'), number_of(state('repair_copied')), number_of(state('repair_dropped'))
if not after or (copied > 0 and redis.call('EXISTS', KEYS[2]) == 0) then
  redis.call('UNLINK', KEYS[2])
  after, copied, dropped = nil, 0, 0
end

-- If the exporter has passed an entry of the future, what is exported would be exported again: it is left out.
local exported_n = number_of(state('n'))
local exported_all = ms_of(state('entry') or '') > limit_ms

local function number_in(fields)
  if #fields == 4 and fields[1] == 'event' and fields[3] == 'n' then return number_of(fields[4]) end
  return 0
end

local start = '-'
if after then
  local ms, sequence = after:match('^(%d+)-(%d+)$')
  start = ms .. '-' .. string.format('%.0f', tonumber(sequence) + 1)
end
local entries = redis.call('XRANGE', KEYS[1], start, LAST_BUT_ONE, 'COUNT', tonumber(ARGV[1]))
for _, entry in ipairs(entries) do
  local id, fields = entry[1], entry[2]
  local is_new = number_in(fields) > exported_n
  local is_far = ms_of(id) > limit_ms
  if (is_far and is_new) or (not is_far and (is_new or not exported_all)) then
    redis.call('XADD', KEYS[2], is_far and '*' or id, unpack(fields))
    copied = copied + 1
  elseif is_far then
    dropped = dropped + 1
  end
  after = id
end
if #entries == tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[3], 'repair_after', after, 'repair_copied', copied, 'repair_dropped', dropped)
  return 'partly'
end
local number = string.format('%.0f', number_of(state('appended')) + 1)
redis.call('XADD', KEYS[2], '*', 'event', ARGV[2] .. '{"dropped":' .. (dropped + 1) .. '}}', 'n', number)
redis.call('HSET', KEYS[3], 'appended', number)
redis.call('RENAME', KEYS[2], KEYS[1])
forget()
return 'repaired'
