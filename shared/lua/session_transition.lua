-- Compares one live session with its phantom and records the transition between them, once.
--
-- KEYS[1]  the session as its client wrote it (a string of JSON); only read
-- KEYS[2]  its phantom: a hash with fingerprint, user_id ('' for none), expires_ms ('' for none), first_seen_ms,
--          life (when this life of the session was first seen, in us: it tells lives of one token apart),
--          sequence (transitions recorded in this life)
-- KEYS[3]  the audit stream; each entry has one field, event: a CloudEvents 1.0 JSON object
-- ARGV[1]  fingerprint of the session token
-- ARGV[2]  reason to record should the session be gone ('logout', ...); '' when the event does not tell of an end
-- ARGV[3]  largest session that is read, in bytes
-- ARGV[4]  entries that the stream keeps, approximately
-- ARGV[5]  time to live of the phantom, in ms
--
-- Returns {result, detail}: {'processed', type of the record}, or 'duplicate', 'ignored', 'rejected' with the reason.
--
-- Invariant: the phantom is the state that the last record of this life told; a record is appended exactly when the
-- live session differs from it. The record is written first: when Redis refuses it, the phantom stays as it was.
-- The token is in KEYS[1] only. Nothing that is returned or written holds it, nor the session's text.

-- TIME comes before the writes. Redis 5 and 6 can be set to replicate scripts verbatim (lua-replicate-commands no) and
-- would refuse that; from 7 on effects are always what is replicated, and this call does nothing.
if redis.replicate_commands then redis.replicate_commands() end

local DAY_MS = 86400000
local MAX_TIME_MS = 253402300799999 -- the last millisecond of the year 9999
local SECONDS_BELOW = 1e11 -- a smaller epoch number is in seconds (to the year 5138), a larger one in ms (from 1973)
-- Redis tells a TTL in what is left of it, so the moment it ends at comes out some ms apart at each look.
local SAME_EXPIRY_MS = 1000
local MAX_USER_BYTES = 256
local USER_PATHS = { { 'userId' }, { 'user', 'id' }, { 'sub' }, { 'passport', 'user' } }

local clock = redis.call('TIME')
local now_ms = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

local function whole(number)
  return string.format('%.0f', number)
end

-- Civil date from days since 1970-01-01 and back, proleptic Gregorian (Howard Hinnant, chrono-compatible low-level
-- date algorithms): years begin in March, so that the leap day is the last of its year.
local function days_of(year, month, day)
  if month <= 2 then year = year - 1 end
  local era = math.floor(year / 400)
  local year_of_era = year - era * 400
  local day_of_year = math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1
  return era * 146097 + year_of_era * 365 + math.floor(year_of_era / 4) - math.floor(year_of_era / 100)
    + day_of_year - 719468
end

local function date_of(days)
  days = days + 719468
  local era = math.floor(days / 146097)
  local rest = days - era * 146097
  local year = math.floor((rest - math.floor(rest / 1460) + math.floor(rest / 36524) - math.floor(rest / 146096)) / 365)
  local day_of_year = rest - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local month = math.floor((5 * day_of_year + 2) / 153)
  local day = day_of_year - math.floor((153 * month + 2) / 5) + 1
  month = month < 10 and month + 3 or month - 9
  return year + era * 400 + (month <= 2 and 1 or 0), month, day
end

local function iso(ms)
  local year, month, day = date_of(math.floor(ms / DAY_MS))
  local time = ms % DAY_MS
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', year, month, day, math.floor(time / 3600000),
    math.floor(time / 60000) % 60, math.floor(time / 1000) % 60, time % 1000)
end

-- Epoch ms of an ISO-8601 date and time with Z or an offset; nil when it is none.
local function ms_of_iso(text)
  local year, month, day, hour, minute, second, fraction, zone =
    text:match('^(%d%d%d%d)%-(%d%d)%-(%d%d)[Tt ](%d%d):(%d%d):(%d%d)(%.?%d*)([Zz+-].*)$')
  if not year or (fraction ~= '' and not fraction:find('^%.%d')) then return nil end
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  hour, minute, second = tonumber(hour), tonumber(minute), tonumber(second)
  if month < 1 or month > 12 or hour > 23 or minute > 59 or second > 59 then return nil end
  local days = days_of(year, month, day)
  if select(3, date_of(days)) ~= day then return nil end
  local offset_minutes = 0
  if zone ~= 'Z' and zone ~= 'z' then
    local sign, hours, minutes = zone:match('^([+-])(%d%d):?(%d%d)$')
    if not sign or tonumber(hours) > 23 or tonumber(minutes) > 59 then return nil end
    offset_minutes = (tonumber(hours) * 60 + tonumber(minutes)) * (sign == '-' and -1 or 1)
  end
  local seconds = hour * 3600 + (minute - offset_minutes) * 60 + second
  return days * DAY_MS + seconds * 1000 + math.floor(tonumber('0' .. fraction) * 1000 + 1e-6)
end

-- Epoch ms of what a session holds as a time; nil when it is none, or outside of 1970 to 9999.
local function instant_ms(value)
  local ms
  if type(value) == 'string' then
    ms = ms_of_iso(value)
  elseif type(value) == 'number' then
    ms = math.floor((value < SECONDS_BELOW and value * 1000 or value) + 0.5)
  end
  return ms and ms > 0 and ms <= MAX_TIME_MS and ms or nil
end

local function at(value, path)
  for _, name in ipairs(path) do
    if type(value) ~= 'table' then return nil end
    value = value[name]
  end
  return value
end

local function decode(text)
  local read, value = pcall(cjson.decode, text)
  if read then return value end
  -- cjson refuses a lone surrogate, which JavaScript writes for a text cut through an emoji: read it as U+FFFD.
  text = text:gsub('\\u([dD][89aAbB]%x%x)\\u([dD][c-fC-F]%x%x)', '\1u%1\1u%2')
    :gsub('\\u[dD][89a-fA-F]%x%x', '\\ufffd'):gsub('\1', '\\')
  read, value = pcall(cjson.decode, text)
  return read and value or nil
end

-- The same JSON with its numbers as strings, digit for digit: cjson reads numbers as doubles, exact to 2^53 only.
local function numbers_as_text(text)
  local parts, from = {}, 1
  local open = text:find('"', 1, true)
  while open do
    local close = text:find('["\\]', open + 1)
    while text:byte(close) == 92 do close = text:find('["\\]', close + 2) end
    parts[#parts + 1] = text:sub(from, open - 1):gsub('-?%d[%w.+-]*', '"%0"')
    parts[#parts + 1] = text:sub(open, close)
    from, open = close + 1, text:find('"', close + 1, true)
  end
  parts[#parts + 1] = text:sub(from):gsub('-?%d[%w.+-]*', '"%0"')
  return table.concat(parts)
end

-- Well-formed sequences (Unicode 15, table 3-7) become '_'; what is left above ASCII belongs to none.
local function is_utf8(text)
  return not text:find('[\128-\255]') or not text
    :gsub('[\194-\223][\128-\191]', '_')
    :gsub('\224[\160-\191][\128-\191]', '_'):gsub('\237[\128-\159][\128-\191]', '_')
    :gsub('[\225-\236\238\239][\128-\191][\128-\191]', '_')
    :gsub('\240[\144-\191][\128-\191][\128-\191]', '_'):gsub('\244[\128-\143][\128-\191][\128-\191]', '_')
    :gsub('[\241-\243][\128-\191][\128-\191][\128-\191]', '_')
    :find('[\128-\255]')
end

-- The user id as it is recorded; '' for none. One that is too long or no UTF-8 is told by its beginning and its SHA-1.
local function user_of(session, text)
  for _, path in ipairs(USER_PATHS) do
    local id = at(session, path)
    if type(id) == 'number' then id = at(decode(numbers_as_text(text)), path) end
    if type(id) == 'string' and id ~= '' then
      if #id <= MAX_USER_BYTES and is_utf8(id) then return id end
      return id:sub(1, MAX_USER_BYTES - 41):gsub('[^\32-\126]', '?') .. '~' .. redis.sha1hex(id)
    end
  end
  return ''
end

-- When the session ends; nil for never. A TTL ends it whatever its JSON says, so the earlier one counts; but
-- cookie.expires does not move with a touch (connect-redis), so there the TTL alone counts.
local function expiry_of(session)
  local ttl_ms = redis.call('PTTL', KEYS[1])
  local told_ms = instant_ms(session.expires)
  if ttl_ms >= 0 then return math.min(now_ms + ttl_ms, told_ms or MAX_TIME_MS) end
  return told_ms or instant_ms(at(session, { 'cookie', 'expires' }))
end

-- {user_id, expires_ms} of the live session, or nil and why it cannot be read.
local function read_session(kind)
  if kind ~= 'string' then return nil, 'the value is not a string' end
  if redis.call('STRLEN', KEYS[1]) > tonumber(ARGV[3]) then return nil, 'the value is too large' end
  local text = redis.call('GET', KEYS[1])
  if text:sub(1, 3) == '\239\187\191' then text = text:sub(4) end
  if not text:find('^[ \t\r\n]*{') then return nil, 'the value is not a JSON object' end
  local session = decode(text)
  if not session then return nil, 'the value is not valid JSON' end
  return { user_id = user_of(session, text), expires_ms = expiry_of(session) }
end

local function json_user(user_id)
  return user_id == '' and 'null' or cjson.encode(user_id)
end

local function json_time(ms)
  return ms and '"' .. iso(ms) .. '"' or 'null'
end

-- Appends the record of one transition; `more` is JSON that follows in data. Returns what the caller returns.
local function append(transition, life, sequence, user_id, expires_ms, more)
  local event_type = 'nextauth.session.' .. transition
  local event = '{"specversion":"1.0","id":"' .. ARGV[1] .. '.' .. life .. '.' .. whole(sequence)
    .. '","source":"urn:keyspace-functions:sessions","type":"' .. event_type .. '","subject":"' .. ARGV[1]
    .. '","time":"' .. iso(now_ms) .. '","datacontenttype":"application/json","data":{"userId":' .. json_user(user_id)
    .. ',"expires":' .. json_time(expires_ms) .. (more or '') .. '}}'
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[4], '*', 'event', event)
  return { 'processed', event_type }
end

local function remember(session, first_seen_ms, life, sequence)
  redis.call('HSET', KEYS[2], 'fingerprint', ARGV[1], 'user_id', session.user_id,
    'expires_ms', session.expires_ms and whole(session.expires_ms) or '',
    'first_seen_ms', whole(first_seen_ms), 'life', life, 'sequence', whole(sequence))
  redis.call('PEXPIRE', KEYS[2], ARGV[5])
end

local function same_expiry(one_ms, other_ms)
  return one_ms == other_ms or (one_ms and other_ms and math.abs(one_ms - other_ms) < SAME_EXPIRY_MS)
end

local known = redis.call('HMGET', KEYS[2], 'user_id', 'expires_ms', 'first_seen_ms', 'life', 'sequence')
local known_user, known_expires_ms, life = known[1], tonumber(known[2] or ''), known[4]
local first_seen_ms, sequence = tonumber(known[3] or ''), tonumber(known[5] or '')
local kind = redis.call('TYPE', KEYS[1]).ok

if kind == 'none' then
  if ARGV[2] == '' then return { 'ignored', 'the session is gone; the event that ended it tells why' } end
  if not life then return { 'duplicate', 'no session is known that could end' } end
  local duration_s = string.format('%.3f', math.max(0, now_ms - first_seen_ms) / 1000)
  local result = append('ended', life, sequence + 1, known_user, known_expires_ms,
    ',"reason":"' .. ARGV[2] .. '","duration_s":' .. duration_s)
  redis.call('DEL', KEYS[2])
  return result
end

local session, fault = read_session(kind)
if not session then return { 'rejected', fault } end

local transition, more
if not life then
  transition = 'created'
  first_seen_ms, life, sequence = now_ms, clock[1] .. string.format('%06d', clock[2]), 0
elseif session.user_id ~= known_user then
  transition, more = 'changed', ',"previousUserId":' .. json_user(known_user)
elseif not same_expiry(session.expires_ms, known_expires_ms) then
  transition = 'refreshed'
else
  return { 'duplicate', 'nothing changed' }
end
local result = append(transition, life, sequence + 1, session.user_id, session.expires_ms, more)
remember(session, first_seen_ms, life, sequence + 1)
return result
