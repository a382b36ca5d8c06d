-- Compares one live session with its phantom, the last-known state, and records the transition between them, once.
--
-- KEYS[1]  the session as its client wrote it (a string of JSON); only read, or deleted when it has lapsed and `delete`
-- KEYS[2]  its phantom: a hash. Of the life that it is of: fingerprint, key_id, life (its beginning in us: it tells the
--          lives of one token apart), first_seen_ms, sequence (records of this life), recorded_ms (when the last record
--          was made that a refresh is measured from), touches (changes counted since), unbounded (1 once that was
--          recorded), prior_end_ms (end of the life before, if that was seen or told of). Of the session as it was last
--          seen: user_id, expires_ms, told_ms, cookie_ms (each where it has one), digest. While the key is missing and
--          why is not known: missing_ms, missing_by. After the life: ended_ms.
-- KEYS[3]  sealed tokens by the time in ms at which their sessions are due for a look: a sorted set
-- KEYS[4]  mark with the digest of a content that became a dead letter
-- KEYS[5]  the audit stream; each entry has two fields, event: a CloudEvents 1.0 JSON object, n: its running number
-- KEYS[6]  state of the audit log: a hash; its field `appended` is the last number
-- KEYS[7]  the phantom under the AUDIT_KEY before, where there was one
-- ARGV[1]  fingerprint of the session token
-- ARGV[2]  id of the AUDIT_KEY that it was made with
-- ARGV[3]  the token, sealed
-- ARGV[4]  what made us look: event, schedule or sweep
-- ARGV[5]  reason to record should the session be gone ('logout', ...); '' when the event does not tell of an end
-- ARGV[6]  largest session that is read, in bytes
-- ARGV[7]  time to live of a phantom, in ms
-- ARGV[8]  options, the same for every session, as JSON (see sessions.py): read only when something changed
-- ARGV[9]  prefix of the sets of users' sessions
-- ARGV[10] '1' where a sweep came by the phantom: a session that is there is looked at by its own key, and not twice
-- ARGV[11] the token, sealed under the AUDIT_KEY before, with KEYS[7]
-- A user is known only once the session is read, so three kinds of keys are built here from prefixes: sorted sets of
-- the user's sessions (fingerprints by expiry; a set per form in which records name the user), NextAuth's index of them
-- (read) and the user's tokens (deleted, where `revoke`). All keys are on one server: the triggers need that too.
--
-- Returns {result, detail, digest}: {'processed', types of the records}, or 'duplicate', 'ignored', 'later', 'rejected'
-- with the reason; a digest with 'rejected' only.
--
-- Invariant: the phantom is the state that the last record of its life told, or that was counted as a touch since; a
-- record is appended exactly when the live session differs from it. The first record is the first write: when Redis
-- refuses it, everything stays as it was. Where Redis refuses the deletion of a user's tokens, everything else is done
-- and the call fails: the next look finds nothing to record. A value of another type in the place of KEYS[2], [3], [5],
-- [6] or of a set of sessions is removed. The token is in KEYS[1] only. Nothing that is returned or written holds it,
-- nor the session's text.

if ARGV[10] == '1' and redis.call('EXISTS', KEYS[1]) == 1 then return { 'duplicate', 'its own key is swept' } end

-- TIME comes before the writes. Redis 5 and 6 can be set to replicate scripts verbatim (lua-replicate-commands no) and
-- would refuse that; from 7 on effects are always what is replicated, and this call does nothing.
if redis.replicate_commands then redis.replicate_commands() end

local DAY_MS = 86400000
local MAX_TIME_MS = 253402300799999 -- the last millisecond of the year 9999
local SECONDS_BELOW = 1e11 -- a smaller epoch number is in seconds (to the year 5138), a larger one in ms (from 1973)
local FIRST_NUMBER_MS = 1e12 -- September 2001: a number that would be a moment before is a duration
-- Redis tells a TTL in what is left of it, so the moment it ends at comes out some ms apart at each look.
local SAME_EXPIRY_MS = 1000
local MAX_USER_BYTES = 256
local MAX_INDEX_BYTES = 8192
-- Every instance of the app hears of an end; the last one within this time. One that comes later and finds the token in
-- use again cannot be told from the end of that new life.
local LATE_EVENT_MS = 60000
local PHANTOM_TTL_MS = tonumber(ARGV[7])
local USER_PATHS = { { 'userId' }, { 'user', 'id' }, { 'sub' }, { 'passport', 'user' } }

-- How long ago something was is taken as an absolute difference: the clock may have been set back.
local clock = redis.call('TIME')
local now_ms = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

local options_read
local function options()
  options_read = options_read or cjson.decode(ARGV[8])
  return options_read
end

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
    if ms < FIRST_NUMBER_MS then return nil end
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

-- The user id as it is recorded, but for pseudonyms; '' for none. One that is too long or no UTF-8 is told by its
-- beginning and its SHA-1.
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

local function bytes_of_hex(hex)
  return (hex:gsub('%x%x', function(digits) return string.char(tonumber(digits, 16)) end))
end

-- HMAC-SHA-1 by RFC 2104, from a key that is padded already; see Keyring.pseudonym.
local function pseudonym(user_id, pads)
  local inner, outer = bytes_of_hex(pads[1]), bytes_of_hex(pads[2])
  return '~' .. redis.sha1hex(outer .. bytes_of_hex(redis.sha1hex(inner .. user_id))):sub(1, 32)
end

-- The forms in which lives may name a user: as it is, or under a pseudonym of either AUDIT_KEY.
local function forms_of(user_id)
  local forms = { user_id }
  for _, pads in ipairs(options().user_pads) do forms[#forms + 1] = pseudonym(user_id, pads) end
  return forms
end

local function names(form, user_id)
  if form:sub(1, 1) ~= '~' then return form == user_id end -- as it is, mostly: no need to compute the others
  for _, one in ipairs(forms_of(user_id)) do
    if one == form then return true end
  end
  return false
end

-- Runs a command on a key of the app's own. Where another application put something else there, that goes.
local function own(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if type(reply) ~= 'table' or not reply.err then return reply end
  if not reply.err:find('WRONGTYPE', 1, true) then error(reply.err, 0) end
  redis.call('UNLINK', key)
  return redis.call(command, key, ...)
end

-- A whole number that is exact in a double; nil for anything else, whoever wrote it.
local function count_of(text)
  return text and #text <= 15 and text:find('^%d+$') and tonumber(text) or nil
end

-- The phantom as numbers and texts; nil when there is none, or what is there is no phantom. `alive` says whether its
-- life goes on.
local FIELDS = { 'fingerprint', 'key_id', 'life', 'first_seen_ms', 'sequence', 'recorded_ms', 'touches', 'unbounded',
  'prior_end_ms', 'user_id', 'expires_ms', 'told_ms', 'cookie_ms', 'digest', 'missing_ms', 'missing_by',
  'ended_ms' }
local NEEDED = { 'first_seen_ms', 'sequence', 'recorded_ms', 'touches', 'digest' }
-- What stands in records as it is.
local PLAIN = { fingerprint = '^%x+$', key_id = '^%x+$', life = '^%d+$' }
local function read_phantom()
  local values, found = own('HMGET', KEYS[2], unpack(FIELDS)), {}
  for position, name in ipairs(FIELDS) do
    local value = values[position]
    if name:find('_ms$') or name == 'sequence' or name == 'touches' then value = count_of(value) end
    found[name] = value or nil
  end
  for _, name in ipairs(NEEDED) do
    if not found[name] then return nil end
  end
  for name, pattern in pairs(PLAIN) do
    if not found[name] or #found[name] > 32 or not found[name]:find(pattern) then return nil end
  end
  if not found.user_id or #found.user_id > MAX_USER_BYTES or not is_utf8(found.user_id) then return nil end
  if found.missing_by and found.missing_by ~= 'schedule' then found.missing_by = 'sweep' end
  found.alive = not found.ended_ms
  return found
end

local reason = ARGV[5]
local known
local records = {}
local refused -- why Redis did not delete a user's tokens

local function json_user(user_id)
  return user_id == '' and 'null' or cjson.encode(user_id)
end

local function json_time(ms)
  return ms and '"' .. iso(ms) .. '"' or 'null'
end

-- The number of the last record. Where the state is lost, evicted say, the newest entry still has it.
local function last_number()
  local number = count_of(own('HGET', KEYS[6], 'appended'))
  if number then return number end
  local newest = own('XREVRANGE', KEYS[5], '+', '-', 'COUNT', 1)[1]
  for position, field in ipairs(newest and newest[2] or {}) do
    if field == 'n' and position % 2 == 1 then number = count_of(newest[2][position + 1]) end
  end
  return number or 0
end

-- Appends one record of the life `of`; `data` is JSON without the braces.
local function append(of, event_type, data, detected_by)
  local number = last_number()
  of.sequence = of.sequence + 1
  local event = '{"specversion":"1.0","id":"' .. of.fingerprint .. '.' .. of.life .. '.' .. whole(of.sequence)
    .. '","source":"urn:keyspace-functions:sessions","type":"' .. event_type .. '","subject":"' .. of.fingerprint
    .. '","time":"' .. iso(now_ms) .. '","datacontenttype":"application/json","keyid":"' .. of.key_id
    .. '","data":{' .. data .. ',"detectedBy":"' .. (detected_by or ARGV[4]) .. '"}}'
  own('XADD', KEYS[5], 'MAXLEN', '~', options().stream_max, '*', 'event', event, 'n', whole(number + 1))
  redis.call('HSET', KEYS[6], 'appended', whole(number + 1))
  records[#records + 1] = event_type
end

local function data_of(session)
  return '"userId":' .. json_user(session.user_id) .. ',"expires":' .. json_time(session.expires_ms)
end

local function touches_of(life)
  return ',"touches":' .. whole(life.touches or 0)
end

local function sessions_of(user_id)
  return ARGV[9] .. user_id
end

-- Whether NextAuth's index names a session of the user that is still there, perhaps one that nobody has told us of yet.
local function has_other_session(user_id)
  local index = options().index_prefix .. user_id
  if redis.call('TYPE', index).ok ~= 'string' or redis.call('STRLEN', index) > MAX_INDEX_BYTES then return false end
  local named, prefix = redis.call('GET', index), options().session_prefix
  if named:sub(1, #prefix) ~= prefix then named = prefix .. named end
  return named ~= KEYS[1] and redis.call('EXISTS', named) == 1
end

-- Whether records name the user by what is no user id: a pseudonym, or a beginning and a SHA-1 (see user_of).
local function is_disguised(user_id)
  local digits = user_id:match('~(%x+)$')
  return digits and (#digits == 40 or (#digits == 32 and #user_id == 33))
end

-- The session is no longer one of its user's; if it was the last one, the user's tokens go, where that is asked for.
-- Not so when it goes on: under another token (renamed), or with `heir`, the user of a life that begins at once.
local function leave_user(life, reason, heir)
  if life.user_id == '' then return end
  own('ZREM', sessions_of(life.user_id), life.fingerprint)
  if not options().revoke or is_disguised(life.user_id) or reason == 'renamed' or heir == life.user_id then return end
  for _, form in ipairs(forms_of(life.user_id)) do
    if own('ZCOUNT', sessions_of(form), whole(now_ms), '+inf') > 0 then return end
  end
  if has_other_session(life.user_id) then return end
  local deleted = redis.pcall('UNLINK', options().tokens_prefix .. life.user_id .. options().tokens_suffix)
  if deleted == 1 then
    append(life, 'fabric.tokens.revoked', '"userId":' .. json_user(life.user_id))
  elseif deleted ~= 0 then
    refused = deleted.err
  end
end

-- Enters the session, or its new expiry, among its user's. 1 when it was not there.
local function enter_user(life)
  local key, score = sessions_of(life.user_id), life.expires_ms and whole(life.expires_ms) or '+inf'
  local added = own('ZADD', key, score, life.fingerprint)
  redis.call('PEXPIRE', key, PHANTOM_TTL_MS)
  return added
end

local function join_user(life)
  if life.user_id == '' then return end
  local added, key, most = enter_user(life), sessions_of(life.user_id), options().user_sessions_max
  if added == 0 or most == 0 then return end
  local there = redis.call('ZCOUNT', key, whole(now_ms), '+inf')
  if there > most then
    append(life, 'nextauth.session.excess',
      '"userId":' .. json_user(life.user_id) .. ',"sessions":' .. whole(there) .. ',"limit":' .. whole(most))
  end
end

local function due_at(ms)
  if ms then
    own('ZADD', KEYS[3], whole(ms), ARGV[3])
    redis.call('PEXPIRE', KEYS[3], PHANTOM_TTL_MS)
  else
    own('ZREM', KEYS[3], ARGV[3])
  end
end

local function remember(life)
  local hash = {}
  for _, name in ipairs(FIELDS) do
    local value = life[name]
    if value then
      hash[#hash + 1] = name
      hash[#hash + 1] = type(value) == 'number' and whole(value) or value
    end
  end
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[2], unpack(hash))
  redis.call('PEXPIRE', KEYS[2], life.ended_ms and not life.remains and LATE_EVENT_MS or PHANTOM_TTL_MS)
end

-- Ends the known life; `how` may say detected_by, remains, deleted, heir. What stays of it tells late events from the
-- end of a next life, and a session that has lapsed while its key remains from a new one.
local function end_life(reason, how)
  append(known, 'nextauth.session.ended', data_of(known) .. ',"reason":"' .. reason .. '","duration_s":'
    .. string.format('%.3f', math.max(0, now_ms - known.first_seen_ms) / 1000) .. touches_of(known)
    .. (how.remains and ',"keyRemains":true' or '') .. (how.deleted and ',"deleted":true' or ''), how.detected_by)
  leave_user(known, reason, how.heir)
  due_at(nil)
  known.alive, known.ended_ms, known.missing_ms, known.remains = false, now_ms, nil, how.remains
  remember(known)
end

local function signal_unbounded(life)
  if life.expires_ms or life.unbounded then return end
  append(life, 'nextauth.session.unbounded', '"userId":' .. json_user(life.user_id))
  life.unbounded = '1'
end

local function name_life(session)
  session.fingerprint, session.key_id, session.life = ARGV[1], ARGV[2], clock[1] .. string.format('%06d', clock[2])
  session.sequence, session.touches = 0, 0
  return session
end

local function begin_life(session)
  local life = name_life(session)
  life.first_seen_ms, life.recorded_ms = now_ms, now_ms
  life.prior_end_ms = known and known.ended_ms or reason ~= '' and now_ms or nil -- an end of this one is yet to come
  append(life, 'nextauth.session.created', data_of(life))
  signal_unbounded(life)
  join_user(life)
  due_at(life.expires_ms)
  remember(life)
end

-- The live session: digest, user_id, told_ms, cookie_ms, expires_ms; or nil, why it cannot be read, a digest.
-- `life` is the one that goes on, nil when another would begin.
local function read_session(kind, life)
  if kind ~= 'string' then return nil, 'the value is not a string', 'type:' .. kind end
  local size = redis.call('STRLEN', KEYS[1])
  if size > tonumber(ARGV[6]) then return nil, 'the value is too large', 'bytes:' .. whole(size) end
  local text = redis.call('GET', KEYS[1])
  local digest = redis.sha1hex(text)
  local session
  -- Read before: most looks end here, without parsing. Of a life that is over only a lapse can be known again.
  if known and known.digest == digest and (life or (known.told_ms or MAX_TIME_MS) <= now_ms) then
    session = { digest = digest, user_id = known.user_id, told_ms = known.told_ms, cookie_ms = known.cookie_ms }
  else
    if text:sub(1, 3) == '\239\187\191' then text = text:sub(4) end
    if not text:find('^[ \t\r\n]*{') then return nil, 'the value is not a JSON object', digest end
    local fields = decode(text)
    if not fields then return nil, 'the value is not valid JSON', digest end
    local user_id = user_of(fields, text)
    session = { digest = digest, user_id = user_id, told_ms = instant_ms(fields.expires),
      cookie_ms = instant_ms(at(fields, { 'cookie', 'expires' })) }
    if user_id ~= '' then -- a life keeps the form in which it began to name its user
      if life and names(life.user_id, user_id) then
        session.user_id = life.user_id
      elseif options().pseudonymise then
        session.user_id = pseudonym(user_id, options().user_pads[1])
      end
    end
  end
  -- A TTL ends it whatever its JSON says, so the earlier one counts; but cookie.expires does not move with a touch
  -- (connect-redis), so there the TTL alone counts.
  local ttl_ms = redis.call('PTTL', KEYS[1])
  if ttl_ms >= 0 then
    session.expires_ms = math.min(now_ms + math.max(ttl_ms, 1), session.told_ms or MAX_TIME_MS) -- it is there yet
  else
    session.expires_ms = session.told_ms or session.cookie_ms
  end
  return session
end

local function same_expiry(one_ms, other_ms)
  return one_ms == other_ms or (one_ms and other_ms and math.abs(one_ms - other_ms) < SAME_EXPIRY_MS)
end

local function told()
  if refused then error(refused, 0) end
  return { 'processed', table.concat(records, ', ') }
end

-- Why the known life, whose key is or was gone, has ended. NextAuth deletes a lapsed session when it next reads it;
-- that is no logout. Where no event tells of it, the expiry that is known may come a little after the one that was.
local function why_gone()
  local leeway_ms = reason == '' and SAME_EXPIRY_MS or 0
  local lapsed = known.expires_ms and known.expires_ms - leeway_ms <= (known.missing_ms or now_ms)
  if lapsed and (reason == '' or reason == 'logout') then return 'expired' end
  return reason == '' and 'lost' or reason
end

if KEYS[7] and redis.call('EXISTS', KEYS[7]) == 1 then -- begun under the AUDIT_KEY before: its life goes on
  if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('RENAME', KEYS[7], KEYS[2]) end
  local due_ms = own('ZSCORE', KEYS[3], ARGV[11])
  own('ZREM', KEYS[3], ARGV[11])
  if due_ms then own('ZADD', KEYS[3], due_ms, ARGV[3]) end
end

known = read_phantom()
local kind = redis.call('TYPE', KEYS[1]).ok

if kind == 'none' then
  if not known or not known.alive then
    if ARGV[4] == 'schedule' then due_at(nil) end
    if known and redis.call('PTTL', KEYS[2]) > LATE_EVENT_MS then redis.call('PEXPIRE', KEYS[2], LATE_EVENT_MS) end
    return { 'duplicate', 'no session is known that could end' }
  end
  if reason == '' and ARGV[4] == 'event' then
    return { 'ignored', 'the session is gone; the event that ended it tells why' }
  end
  local since_ms = known.missing_ms or now_ms
  if why_gone() == 'lost' and math.abs(now_ms - since_ms) < options().lost_after_ms then
    if not known.missing_ms then redis.call('HSET', KEYS[2], 'missing_ms', whole(now_ms), 'missing_by', ARGV[4]) end
    due_at(since_ms + options().lost_after_ms)
    return { 'later', 'it is gone; the event that tells why may be on its way' }
  end
  end_life(why_gone(), { detected_by = why_gone() == 'lost' and known.missing_by })
  return told()
end

-- The event of an end, and the key is there: the token was used again before we looked, unless this is a late word of
-- the end of the life before.
local over = known and known.alive
  and (known.missing_ms or (reason ~= '' and math.abs(now_ms - (known.prior_end_ms or 0)) > LATE_EVENT_MS))
local session, fault, digest = read_session(kind, known and known.alive and not over and known or nil)
if not session then
  if ARGV[4] == 'schedule' then due_at(nil) end
  if redis.pcall('GET', KEYS[4]) == digest then return { 'duplicate', 'a dead letter holds this content' } end
  return { 'rejected', fault, digest }
end

local lapsed = session.expires_ms and session.expires_ms <= now_ms
-- Never by cookie.expires: a client that sets no TTL need not move it while the session is in use.
local delete = lapsed and session.told_ms and options().delete
if over then
  end_life(why_gone(), { detected_by = reason == '' and known.missing_by, heir = not lapsed and session.user_id })
end

if not known or not known.alive then
  if not lapsed then
    begin_life(session)
    return told()
  end
  if not delete then
    if known and redis.call('PTTL', KEYS[2]) < PHANTOM_TTL_MS / 2 then
      redis.call('PEXPIRE', KEYS[2], PHANTOM_TTL_MS)
    end
    return #records > 0 and told() or { 'duplicate', 'it had lapsed before' }
  end
  if not known then -- never seen alive: its end is all that is known of it
    known = name_life(session)
    append(known, 'nextauth.session.ended',
      data_of(known) .. ',"reason":"expired","duration_s":null,"touches":0,"deleted":true')
  end
  redis.call('UNLINK', KEYS[1])
  return #records > 0 and told() or { 'processed', 'the lapsed session was deleted' }
end

if lapsed then
  known.expires_ms = session.expires_ms
  end_life('expired', { remains = not delete, deleted = delete })
  if delete then redis.call('UNLINK', KEYS[1]) end
  return told()
end

local another_user = session.user_id ~= known.user_id
local moved = not same_expiry(session.expires_ms, known.expires_ms)
if not another_user and not moved and session.digest == known.digest then
  -- The schedule took it, to be due again. A sweep restores what was evicted, or another application's for a while.
  local swept, user_id = ARGV[4] == 'sweep', known.user_id
  local forgotten = swept and session.expires_ms and not own('ZSCORE', KEYS[3], ARGV[3])
  if ARGV[4] == 'schedule' or forgotten then due_at(session.expires_ms) end
  if swept and user_id ~= '' and not own('ZSCORE', sessions_of(user_id), known.fingerprint) then enter_user(known) end
  if redis.call('PTTL', KEYS[2]) < PHANTOM_TTL_MS / 2 then -- a long life must not outlive its phantom
    redis.call('PEXPIRE', KEYS[2], PHANTOM_TTL_MS)
    if user_id ~= '' then redis.call('PEXPIRE', sessions_of(user_id), PHANTOM_TTL_MS) end
    redis.call('PEXPIRE', KEYS[3], PHANTOM_TTL_MS)
  end
  return { 'duplicate', 'nothing changed' }
end

local before = { user_id = known.user_id, fingerprint = known.fingerprint, life = known.life, key_id = known.key_id }
for name in pairs({ digest = 1, user_id = 1, told_ms = 1, cookie_ms = 1 }) do known[name] = session[name] end
if moved then known.expires_ms = session.expires_ms end
if another_user then
  append(known, 'nextauth.session.changed',
    data_of(known) .. ',"previousUserId":' .. json_user(before.user_id) .. touches_of(known))
elseif moved and (now_ms - known.recorded_ms >= options().refresh_min_ms or not session.expires_ms) then
  append(known, 'nextauth.session.refreshed', data_of(known) .. touches_of(known))
end
if #records > 0 then
  known.recorded_ms, known.touches = now_ms, 0
else
  known.touches = known.touches + 1
end
signal_unbounded(known)
if another_user then
  before.sequence = known.sequence
  leave_user(before)
  known.sequence = before.sequence
end
if another_user or moved then join_user(known) end
if moved or ARGV[4] == 'schedule' then due_at(session.expires_ms) end
remember(known)
if #records == 0 then return { 'duplicate', 'a touch; counted' } end
return told()
