-- Reads entries of the audit stream, bounded in number and in bytes.
--
-- KEYS 1 the audit stream
-- ARGV 1 id of the first entry to read, or '-'
--      2 how many entries at most
--      3 how many bytes at most, in all
--      4 largest entry that is returned with its fields, in bytes
-- Returns {time in ms, highest id that the stream ever assigned, entry, entry, ...}: an entry is {id, {field, value,
-- ...}}, or {id, size in bytes, SHA-1 of its fields and values} if it is larger than ARGV[4]. A key of another type
-- counts as an empty stream.
--
-- Invariant: reads only. At least one entry is returned, whatever its size; entries that do not fit are for the next
-- call.

local clock = redis.call('TIME')
local reply, bytes = { tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000), '0-0' }, 0
if redis.call('TYPE', KEYS[1]).ok ~= 'stream' then return reply end
local info = redis.call('XINFO', 'STREAM', KEYS[1])
for index = 1, #info, 2 do
  if info[index] == 'last-generated-id' then reply[2] = info[index + 1] end
end
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', tonumber(ARGV[2]))) do
  local size = 0
  for _, text in ipairs(entry[2]) do size = size + #text end
  if size > tonumber(ARGV[4]) then
    entry = { entry[1], size, redis.sha1hex(table.concat(entry[2])) }
    size = 100
  end
  if bytes > 0 and bytes + size > tonumber(ARGV[3]) then break end
  bytes = bytes + size
  table.insert(reply, entry)
end
return reply
