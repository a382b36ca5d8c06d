-- Remove keys, unless they are in use.
--
-- KEYS     keys of any type, a hundred or so: their values are freed in the background
-- ARGV[1]  remove only what was neither read nor written for so many seconds; 0 for all
--
-- Returns how many were removed.
--
-- Invariant: what was used within ARGV[1] stays, however much time passed since somebody listed it.

local idle_min_s, removed = tonumber(ARGV[1]), 0
for _, key in ipairs(KEYS) do
  if idle_min_s == 0 or (redis.call('OBJECT', 'IDLETIME', key) or -1) >= idle_min_s then
    removed = removed + redis.call('UNLINK', key)
  end
end
return removed
