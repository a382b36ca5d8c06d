-- List dead letters, newest first, after the last letter of the page before.
--
-- KEYS   1 index: sorted set, id to last time in ms
--        2 letters: hash
-- ARGV   1 time of the last letter of the page before, '+inf' for none
--        2 its id, '' for none
--        3 maximum number of letters to return
--        4 reactor whose letters to return, '' for all
-- Returns {time, id, ...}: time and id of the last letter examined, '' and '' after the last letter; then id and text
--        of each matching letter, '' for a letter that is missing.
--
-- Invariant: writes nothing. Examines at most MAX_LOOKS letters, so a page with fewer letters than the maximum need not
-- be the last. A letter is on one page only, whatever letters come and go between the calls.

local MAX_LOOKS, STEP = 1000, 100
local last_time, last_id, limit, reactor = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]

local reply, examined, time, id = {'', ''}, 0, nil, nil
local from = 0
while true do
  -- pcall: a key of another type lists nothing.
  local page = redis.pcall('ZREVRANGEBYSCORE', KEYS[1], last_time, '-inf', 'WITHSCORES', 'LIMIT', from, STEP)
  for position = 1, #page, 2 do
    -- Letters of the same millisecond come in descending order of their ids.
    if last_id == '' or page[position + 1] ~= last_time or page[position] < last_id then
      if examined == MAX_LOOKS or #reply == 2 + 2 * limit then
        reply[1], reply[2] = time, id
        return reply
      end
      id, time, examined = page[position], page[position + 1], examined + 1
      local letter = redis.pcall('HGET', KEYS[2], id)
      if type(letter) ~= 'string' then letter = '' end
      if reactor == '' or letter:match('^%d+ %d+ %d+ ([%w_]+)\n') == reactor then
        reply[#reply + 1] = id
        reply[#reply + 1] = letter
      end
    end
  end
  if #page < 2 * STEP then return reply end
  from = from + STEP
end
