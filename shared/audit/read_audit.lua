-- Reads entries of the audit stream, bounded in number and in bytes.
--
-- KEYS 1 the audit stream
--      2 where it is put aside
-- ARGV 1 id of the first entry to read, or '-'
--      2 how many entries at most
--      3 how many bytes at most, in all
--      4 largest entry that is returned with its fields, in bytes
--      5 TTL of what is put aside, in s
-- Returns {time in ms, id, entry, entry, ...}: the id is that of the last entry found or, if there is none, the highest
-- that the stream ever assigned; an entry is {id, {field, value, ...}}, or {id, size in bytes, SHA-1 of its fields and
-- values} if it is larger than ARGV[4]. A key of another type counts as an empty stream; so does one with large foreign
-- entries, which is renamed to KEYS[2]: 'put aside' follows the two.
--
-- Invariant: reads only, but for that. At least one entry is returned, whatever its size; entries that do not fit are
-- for the next call.

-- TIME precedes writes: Redis 5 and 6 refuse that when they are set to replicate scripts verbatim.
if redis.replicate_commands then redis.replicate_commands() end

-- Whether somebody has put large entries into the part of the stream that is read next: to read one of 300 MB blocks
-- Redis for more than a second. A record of this app has about 600 bytes, at most 4,000. Redis measures the first 600
-- nodes, of 6 records each, and takes the others to be like them: a large entry stands out, however long the stream is.
local function is_oversized(key)
  return redis.call('MEMORY', 'USAGE', key, 'SAMPLES', 600) > 8388608 + 6144 * redis.call('XLEN', key)
end

local clock = redis.call('TIME')
local reply, bytes = { tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000), '0-0' }, 0
if redis.call('TYPE', KEYS[1]).ok ~= 'stream' then return reply end
if is_oversized(KEYS[1]) then
  redis.call('RENAME', KEYS[1], KEYS[2])
  redis.call('EXPIRE', KEYS[2], ARGV[5])
  reply[3] = 'put aside'
  return reply
end
local entries = redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', tonumber(ARGV[2]))
if #entries > 0 then
  reply[2] = entries[#entries][1]
else -- only then: XINFO loads the last entry, which may be large, but not if it was read before
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  for index = 1, #info, 2 do
    if info[index] == 'last-generated-id' then reply[2] = info[index + 1] end
  end
end
for _, entry in ipairs(entries) do
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
