-- Remove keys that are not in use.
--
-- KEYS     keys of any type, about a hundred; their values are freed in the background
-- ARGV[1]  remove only keys neither read nor written for this many seconds; 0 for all
--
-- Returns the number of removed keys.
--
-- Invariant: a key used within ARGV[1] stays, however long ago the caller listed it.

local idle_min_s, removed = tonumber(ARGV[1]), 0
for _, key in ipairs(KEYS) do
  if idle_min_s == 0 or (redis.call('OBJECT', 'IDLETIME', key) or -1) >= idle_min_s then
    removed = removed + redis.call('UNLINK', key)
  end
end
return removed
