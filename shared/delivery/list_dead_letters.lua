-- List dead letters, newest first, from where the last page ended.
--
-- KEYS   1 index: sorted set, id to last time in ms
--        2 letters: hash
-- ARGV   1 time of the last letter of the page before, '+inf' for none
--        2 its id, '' for none
--        3 how many letters at the most
--        4 reactor whose letters are wanted, '' for all
-- Returns {time, id, ...}: of the last letter looked at, '' and '' when there are no more; then id and letter of each
--        that is wanted, '' for a letter that is not there.
--
-- Invariant: writes nothing. Looks at MAX_LOOKS letters at the most, so that a page can be shorter than asked for and
-- still not be the last. A letter is on one page only, whatever comes and goes meanwhile.

local MAX_LOOKS, STEP = 1000, 100
local last_time, last_id, limit, reactor = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]

local answer, looked, time, id = {'', ''}, 0, nil, nil
local from = 0
while true do
  -- pcall: a key of another type lists nothing.
  local page = redis.pcall('ZREVRANGEBYSCORE', KEYS[1], last_time, '-inf', 'WITHSCORES', 'LIMIT', from, STEP)
  for position = 1, #page, 2 do
    -- Letters of one millisecond stand in the reverse order of their ids.
    if last_id == '' or page[position + 1] ~= last_time or page[position] < last_id then
      if looked == MAX_LOOKS or #answer == 2 + 2 * limit then
        answer[1], answer[2] = time, id
        return answer
      end
      id, time, looked = page[position], page[position + 1], looked + 1
      local letter = redis.pcall('HGET', KEYS[2], id)
      if type(letter) ~= 'string' then letter = '' end
      if reactor == '' or letter:match('^%d+ %d+ %d+ ([%w_]+)\n') == reactor then
        answer[#answer + 1] = id
        answer[#answer + 1] = letter
      end
    end
  end
  if #page < 2 * STEP then return answer end
  from = from + STEP
end
