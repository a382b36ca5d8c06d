-- Reads entries of the audit stream, bounded in number and in bytes.
--
-- KEYS 1 the audit stream
-- ARGV 1 id of the first entry to read, or '-'
--      2 most entries, 3 bytes after which no more are read
--      4 largest entry that is returned, in bytes
-- Returns {time in ms, last id that the stream ever gave, entry, entry, ...}: an entry is {id, {field, value, ...}}, or
-- {id, size in bytes, SHA-1 of its fields and values} when it is larger. A key that is no stream is an empty one.
--
-- Invariant: reads only. What does not fit is left for the next call; the first entry always fits.

local clock = redis.call('TIME')
local reply, bytes = { tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000), '0-0' }, 0
if redis.call('TYPE', KEYS[1]).ok ~= 'stream' then return reply end
local about = redis.call('XINFO', 'STREAM', KEYS[1])
for index = 1, #about, 2 do
  if about[index] == 'last-generated-id' then reply[2] = about[index + 1] end
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
