-- Compares a live session with its phantom, the last recorded state, and records the transition, once.
--
--   key      phantom         transition
--   exists   none or ended   created; nothing if the session has lapsed
--   exists   alive           ended (expired) if the session has lapsed; else changed (another user), refreshed (another
--                            expiry), a counted touch (anything else), or nothing (no difference);
--                            ended and created if the key was missing before or the event reports an end
--   missing  alive           ended with the reason of the event; without one expired, or lost after lost_after_ms
--   missing  none or ended   nothing
--
-- KEYS[1]  the session as its client wrote it (a string of JSON); read only, except that a lapsed session is deleted
--          where the option `delete` asks for it
-- KEYS[2]  its phantom: a hash
--            the life: fingerprint, key_id, life (its beginning in us, which tells apart the lives of a token),
--            first_seen_ms, sequence (number of its records), recorded_ms (time of its last record, for the throttle of
--            refreshes), touches (changes that were counted since), unbounded (1 after that record), prior_end_ms (end
--            of the previous life, if it was recorded or reported)
--            the session when it was last seen: user_id, digest, expires_ms (what counts), told_ms (its `expires`),
--            cookie_ms (its `cookie.expires`); a time that the session does not have is left out
--            while the key is missing without a reason: missing_ms, missing_by; after the end: ended_ms
-- KEYS[3]  due times: a sorted set of sealed tokens by the time in ms at which the schedule looks at their sessions
-- KEYS[4]  mark with the digest of content that is a dead letter
-- KEYS[5]  the audit stream; each entry has two fields, event: a CloudEvents 1.0 JSON object, n: its running number
-- KEYS[6]  state of the audit log: a hash; its field `appended` is the last running number
-- KEYS[7]  the phantom under the previous AUDIT_KEY, if there is one
-- ARGV[1]  fingerprint of the session token
-- ARGV[2]  id of the AUDIT_KEY of the fingerprint
-- ARGV[3]  the sealed token
-- ARGV[4]  cause of the call: event, schedule or sweep
-- ARGV[5]  reason to record if the session has ended ('logout', ...); '' if the event reports no end
-- ARGV[6]  largest session that is read, in bytes
-- ARGV[7]  time to live of a phantom, in ms
-- ARGV[8]  options, the same for every session, as JSON (reactor.py); decoded only when the session has changed
-- ARGV[9]  prefix of the sets of users' sessions
-- ARGV[10] '1' if a sweep found the phantom: then a session that exists is left to the sweep of its own key
-- ARGV[11] the token, sealed under the previous AUDIT_KEY, with KEYS[7]
-- The user is in the session's text, so three kinds of keys are built here from prefixes: sorted sets of the user's
-- sessions (fingerprints by expiry; one set per form in which records name the user), NextAuth's index of them (read)
-- and the user's tokens (deleted, where `revoke` asks for it). All keys are on one server; the triggers require that.
--
-- Returns {'processed', types of the records}, {'duplicate' | 'ignored' | 'later', reason}, or
-- {'rejected', reason, digest of the content}.
--
-- Invariant: the phantom is the state in the last record of its life, plus the touches counted since; a record is
-- appended exactly if the live session differs from it. The first record is the first write: if Redis refuses it,
-- nothing was changed. If Redis refuses to delete a user's tokens, all other effects are in place and the call fails;
-- the next call has nothing to record. A value of another type in place of KEYS[2], [3], [5], [6] or of a set of
-- sessions is removed. The token is in KEYS[1] only: no reply and no write contains it or the session's text.

if ARGV[10] == '1' and redis.call('EXISTS', KEYS[1]) == 1 then return { 'duplicate', 'its own key is swept too' } end

-- TIME precedes writes. Redis 5 and 6 refuse that when they are set to replicate scripts verbatim
-- (lua-replicate-commands no); from Redis 7 on effects are always replicated, and this call does nothing.
if redis.replicate_commands then redis.replicate_commands() end

local DAY_MS = 86400000
local MAX_TIME_MS = 253402300799999 -- the last millisecond of the year 9999
local SECONDS_BELOW = 1e11 -- a smaller epoch number is in seconds (to the year 5138), a larger one in ms (from 1973)
local FIRST_NUMBER_MS = 1e12 -- September 2001: a number that would be an earlier time is a duration
-- PTTL returns the remaining time, so the end that is computed from it differs by a few ms from call to call.
local SAME_EXPIRY_MS = 1000
local MAX_USER_BYTES = 256
local MAX_INDEX_BYTES = 8192
-- Every instance receives the event of an end, some up to LATE_EVENT_MS later. Until then it must not end the next life
-- of the token:
--
--   instance A   del: life 1 ends ----- set: life 2 begins --------------------------------------------> time
--   instance B                                                del: late, records nothing  |  del: life 2 ends
--                |<------------------------------ LATE_EVENT_MS ------------------------->|
--                prior_end_ms of life 2
local LATE_EVENT_MS = 60000
local PHANTOM_TTL_MS = tonumber(ARGV[7])

-- Ages are absolute differences: the clock may have been set back.
local clock = redis.call('TIME')
local now_ms = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

local decoded_options
local function options()
  decoded_options = decoded_options or cjson.decode(ARGV[8])
  return decoded_options
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

-- Epoch ms of an ISO-8601 date and time with Z or an offset; nil for any other text.
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

-- Epoch ms of a time in a session (text, number, or {"$date": ...}, MongoDB's extended JSON); nil for any other value
-- and outside of 1970 to 9999.
local function instant_ms(value)
  local ms
  if type(value) == 'table' then
    value = value['$date']
    if type(value) == 'table' then value = tonumber(value['$numberLong']) end
  end
  if type(value) == 'string' then
    ms = ms_of_iso(value)
  elseif type(value) == 'number' then
    ms = math.floor((value < SECONDS_BELOW and value * 1000 or value) + 0.5)
    if ms < FIRST_NUMBER_MS then return nil end
  end
  return ms and ms > 0 and ms <= MAX_TIME_MS and ms or nil
end

local function decode(text)
  local decoded, value = pcall(cjson.decode, text)
  if decoded then return value end
  if not text:find('\\u[dD]') then return nil end
  -- cjson refuses a lone surrogate, which JavaScript writes for a text that was cut within an emoji: read it as U+FFFD.
  text = text:gsub('\\u([dD][89aAbB]%x%x)\\u([dD][c-fC-F]%x%x)', '\1u%1\1u%2')
    :gsub('\\u[dD][89a-fA-F]%x%x', '\\ufffd'):gsub('\1', '\\')
  decoded, value = pcall(cjson.decode, text)
  return decoded and value or nil
end

-- The JSON text with its numbers turned into strings: cjson reads numbers as doubles, which are exact to 2^53 only.
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

-- Replaces well-formed sequences (Unicode 15, table 3-7) by '_'; any byte above ASCII that remains is malformed.
local function is_utf8(text)
  return not text:find('[\128-\255]') or not text
    :gsub('[\194-\223][\128-\191]', '_')
    :gsub('\224[\160-\191][\128-\191]', '_'):gsub('\237[\128-\159][\128-\191]', '_')
    :gsub('[\225-\236\238\239][\128-\191][\128-\191]', '_')
    :gsub('\240[\144-\191][\128-\191][\128-\191]', '_'):gsub('\244[\128-\143][\128-\191][\128-\191]', '_')
    :gsub('[\241-\243][\128-\191][\128-\191][\128-\191]', '_')
    :find('[\128-\255]')
end

-- A user's id as it is recorded without pseudonyms. An id that is too long or not UTF-8 is recorded as its readable
-- beginning, '~' and its SHA-1.
local function recorded_id(id)
  if #id <= MAX_USER_BYTES and is_utf8(id) then return id end
  return id:sub(1, MAX_USER_BYTES - 41):gsub('[^\32-\126]', '?') .. '~' .. redis.sha1hex(id)
end

-- The forms of sessions are in docs/sessions.md. Reading is bounded: each name below is looked up in at most 1 + 4 + 16
-- objects, texts within texts are parsed to MAX_JSON_LEVELS, and cjson bounds the depth of each (1,000 levels). The
-- lists of names are built where they are used, since most calls do not need them.
local MAX_JSON_LEVELS = 2 -- of JSON texts within the JSON text
local MAX_WRAPPERS = 2 -- objects around a session

local function has_any(object, names)
  for _, name in ipairs(names) do
    if object[name] ~= nil then return true end
  end
  return false
end

-- The object in a JSON text, or in a JSON text within it, and how many levels of text may follow in its members; or nil
-- and the reason. `exact`: numbers become texts, with all their digits.
local function object_of(json, levels, exact)
  if json:find('^[ \t\r\n]*{') then
    local object = decode(exact and numbers_as_text(json) or json)
    if object then return object, levels end
    return nil, 'the value is not valid JSON'
  end
  local inner = levels > 0 and json:find('^[ \t\r\n]*"') and decode(json)
  if type(inner) == 'string' then return object_of(inner, levels - 1, exact) end
  return nil, 'the value is not a JSON object'
end

-- The same for a member: an object, or a JSON text of one; nil for any other value.
local function member_object(value, levels, exact)
  if type(value) == 'table' then return value, levels end
  if type(value) ~= 'string' or levels == 0 or not value:find('^[ \t\r\n]*[{"]') then return nil end
  local object, left = object_of(value, levels - 1, exact)
  if object then return object, left end
end

-- A user's id: a text, a number, or an object that has one of them as its id, down to `depth` objects.
local function id_of(value, levels, exact, depth)
  if value == nil then return nil end
  local object, left = member_object(value, levels, exact)
  if not object then
    local is_id = type(value) == 'string' and value ~= '' or type(value) == 'number' and not exact
    return is_id and value or nil
  end
  if depth == 0 then return nil end
  for _, name in ipairs({ 'id', '_id', 'userId', 'user_id', 'sub', '$oid', '$uuid', '$numberLong', '$numberInt' }) do
    local id = id_of(object[name], left, exact, depth - 1)
    if id then return id end
  end
end

-- The user that an object itself names; docs/sessions.md lists the names in this order.
local function user_in(object, levels, exact, wrapper)
  local id = id_of(object.userId, levels, exact, 2)
  if id then return id end
  local user, user_levels = member_object(object.user, levels, exact)
  id = user and id_of(user, user_levels, exact, 2) or id_of(object.user_id, levels, exact, 2)
    or id_of(object.sub, levels, exact, 2)
  if id then return id end
  local passport, passport_levels = member_object(object.passport, levels, exact)
  id = passport and id_of(passport.user, passport_levels, exact, 2) or id_of(object._user_id, levels, exact, 0)
    or id_of(object._auth_user_id, levels, exact, 0)
  if id then return id end
  id = object.user -- not a name, an e-mail address or JSON
  if type(id) == 'number' and not exact or type(id) == 'string' and id:find('^[^%s@"{%[]+$') then return id end
  -- `_id` is the id of the session in `session`, in a row or a wrapper of a store (MongoDB), and beside Flask-Login's
  -- members; so it is if it is the token.
  if object._id == nil or wrapper == 'session' or has_any(object, { 'userId', 'user', 'user_id', 'sub', 'passport',
    'session', 'value', 'data', 'json', 'sessionToken', 'session_token', 'sessionId', 'session_id', 'sid', 'token',
    '_user_id', '_fresh', '_permanent' }) then return nil end
  id = id_of(object._id, levels, exact, 2)
  return id and KEYS[1] ~= options().session_prefix .. id and id or nil
end

-- The expiry that an object itself has. Beside OAuth tokens only `expires` is that of the session.
local function expiry_in(object)
  local told_ms = instant_ms(object.expires)
  if told_ms or has_any(object, { 'access_token', 'accessToken', 'refresh_token', 'refreshToken', 'id_token',
    'idToken' }) then return told_ms end
  return instant_ms(object.expiresAt) or instant_ms(object.expires_at) or instant_ms(object.exp)
    or instant_ms(object._expire)
end

-- Reads an object into `session`: its own members, then what it wraps for a store or a cache (`json`: superjson). If it
-- names a user, only `session` is a wrapper. If it has a cookie, it is the session itself, so an expiry in its `data`
-- is
-- the application's own; so is an expiry in `data` beside which there is no user. `has_expiry`: whether the expiry in
-- the object is that of the session.
local function read_object(session, object, levels, exact, wrapper, depth, has_expiry)
  local user_id = user_in(object, levels, exact, wrapper)
  session.user_id = session.user_id or user_id
  local cookie = member_object(object.cookie, levels, exact)
  if has_expiry and (wrapper ~= 'data' or user_id) then
    local told_ms = expiry_in(object)
    if told_ms then session.told_ms = math.min(told_ms, session.told_ms or told_ms) end
    session.cookie_ms = session.cookie_ms or cookie and (instant_ms(cookie.expires) or instant_ms(cookie._expires))
  end
  if depth == 0 then return end
  for _, name in ipairs({ 'session', 'value', 'data', 'json' }) do
    if object[name] ~= nil and (name == 'session' or not session.user_id) then
      local inner, left = member_object(object[name], levels, exact)
      if inner then
        read_object(session, inner, left, exact, name, depth - 1, has_expiry and (name == 'session' or not cookie))
      end
    end
  end
end

-- user_id ('' for none), told_ms (the earliest time that ends the session) and cookie_ms (the expiry of its cookie) in
-- the text of a session; or nil and the reason why it cannot be read.
local function read_text(text)
  local object, levels = object_of(text, MAX_JSON_LEVELS, false)
  if not object then return nil, levels end
  local session = {}
  read_object(session, object, levels, false, nil, MAX_WRAPPERS, true)
  if type(session.user_id) == 'number' then -- a double: read the user again, with all digits
    session.user_id = nil
    object, levels = object_of(text, MAX_JSON_LEVELS, true)
    read_object(session, object, levels, true, nil, MAX_WRAPPERS, false)
  end
  session.user_id = recorded_id(session.user_id or '')
  return session
end

local function bytes_of_hex(hex)
  return (hex:gsub('%x%x', function(digits) return string.char(tonumber(digits, 16)) end))
end

-- HMAC-SHA-1 (RFC 2104) with a key that is padded already; see Keyring.pseudonym.
local function pseudonym(user_id, pads)
  local inner, outer = bytes_of_hex(pads[1]), bytes_of_hex(pads[2])
  return '~' .. redis.sha1hex(outer .. bytes_of_hex(redis.sha1hex(inner .. user_id))):sub(1, 32)
end

-- The forms in which lives may name a user: the id itself, or a pseudonym under either AUDIT_KEY.
local function forms_of(user_id)
  local forms = { user_id }
  for _, pads in ipairs(options().user_pads) do forms[#forms + 1] = pseudonym(user_id, pads) end
  return forms
end

local function is_form_of(form, user_id)
  if form:sub(1, 1) ~= '~' then return form == user_id end -- the usual case: no pseudonym to compute
  for _, candidate in ipairs(forms_of(user_id)) do
    if candidate == form then return true end
  end
  return false
end

-- Runs a command on a key of the app's own; a value of another type, from another application, is removed first.
local function call_own(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if type(reply) ~= 'table' or not reply.err then return reply end
  if not reply.err:find('WRONGTYPE', 1, true) then error(reply.err, 0) end
  redis.call('UNLINK', key)
  return redis.call(command, key, ...)
end

-- A whole number that is exact in a double; nil for any other text.
local function count_of(text)
  return text and #text <= 15 and text:find('^%d+$') and tonumber(text) or nil
end

-- The phantom as numbers and texts; nil if there is none, or if the hash is not a valid phantom. `alive` is false after
-- the end of its life.
local FIELDS = { 'fingerprint', 'key_id', 'life', 'first_seen_ms', 'sequence', 'recorded_ms', 'touches', 'unbounded',
  'prior_end_ms', 'user_id', 'expires_ms', 'told_ms', 'cookie_ms', 'digest', 'missing_ms', 'missing_by',
  'ended_ms' }
local REQUIRED = { 'first_seen_ms', 'sequence', 'recorded_ms', 'touches', 'digest' }
-- Fields that are copied into records without escaping.
local UNESCAPED = { fingerprint = '^%x+$', key_id = '^%x+$', life = '^%d+$' }
local function read_phantom()
  local values, fields = call_own('HMGET', KEYS[2], unpack(FIELDS)), {}
  for position, name in ipairs(FIELDS) do
    local value = values[position]
    if name:find('_ms$') or name == 'sequence' or name == 'touches' then value = count_of(value) end
    fields[name] = value or nil
  end
  for _, name in ipairs(REQUIRED) do
    if not fields[name] then return nil end
  end
  for name, pattern in pairs(UNESCAPED) do
    if not fields[name] or #fields[name] > 32 or not fields[name]:find(pattern) then return nil end
  end
  if not fields.user_id or #fields.user_id > MAX_USER_BYTES or not is_utf8(fields.user_id) then return nil end
  if fields.missing_by and fields.missing_by ~= 'schedule' then fields.missing_by = 'sweep' end
  fields.alive = not fields.ended_ms
  return fields
end

local reason = ARGV[5]
local phantom
local records = {} -- types of the appended records
local revocation_error -- why Redis refused to delete a user's tokens

local function json_user(user_id)
  return user_id == '' and 'null' or cjson.encode(user_id)
end

local function json_time(ms)
  return ms and '"' .. iso(ms) .. '"' or 'null'
end

-- The running number of the last record. If the state is lost (evicted, for instance), the newest entry still has it.
local function last_number()
  local number = count_of(call_own('HGET', KEYS[6], 'appended'))
  if number then return number end
  local newest = call_own('XREVRANGE', KEYS[5], '+', '-', 'COUNT', 1)[1]
  for position, field in ipairs(newest and newest[2] or {}) do
    if field == 'n' and position % 2 == 1 then number = count_of(newest[2][position + 1]) end
  end
  return number or 0
end

-- Appends a record of `life`; `data` is JSON without its braces.
local function append(life, event_type, data, detected_by)
  local number = last_number()
  life.sequence = life.sequence + 1
  local event = '{"specversion":"1.0","id":"' .. life.fingerprint .. '.' .. life.life .. '.' .. whole(life.sequence)
    .. '","source":"urn:keyspace-functions:sessions","type":"' .. event_type .. '","subject":"' .. life.fingerprint
    .. '","time":"' .. iso(now_ms) .. '","datacontenttype":"application/json","keyid":"' .. life.key_id
    .. '","data":{' .. data .. ',"detectedBy":"' .. (detected_by or ARGV[4]) .. '"}}'
  call_own('XADD', KEYS[5], 'MAXLEN', '~', options().stream_max, '*', 'event', event, 'n', whole(number + 1))
  redis.call('HSET', KEYS[6], 'appended', whole(number + 1))
  records[#records + 1] = event_type
end

local function session_data(session)
  return '"userId":' .. json_user(session.user_id) .. ',"expires":' .. json_time(session.expires_ms)
end

local function touches_data(life)
  return ',"touches":' .. whole(life.touches or 0)
end

local function user_sessions_key(user_id)
  return ARGV[9] .. user_id
end

-- Whether NextAuth's index names another session of the user that exists, perhaps one whose event has not arrived.
local function has_other_session(user_id)
  local index = options().index_prefix .. user_id
  if redis.call('TYPE', index).ok ~= 'string' or redis.call('STRLEN', index) > MAX_INDEX_BYTES then return false end
  local session_key, prefix = redis.call('GET', index), options().session_prefix
  if session_key:sub(1, #prefix) ~= prefix then session_key = prefix .. session_key end
  return session_key ~= KEYS[1] and redis.call('EXISTS', session_key) == 1
end

-- Whether `user_id` is not the id itself: a pseudonym, or a beginning and a SHA-1 (see recorded_id).
local function is_substitute(user_id)
  local digits = user_id:match('~(%x+)$')
  return digits and (#digits == 40 or (#digits == 32 and #user_id == 33))
end

-- Removes the session from its user's set; after the last one, `revoke` deletes the user's tokens. The tokens stay if
-- the session continues under another token ('renamed'), or if `next_user_id`, the user of the life that begins in this
-- call, is the same user.
local function leave_user(life, reason, next_user_id)
  if life.user_id == '' then return end
  call_own('ZREM', user_sessions_key(life.user_id), life.fingerprint)
  if not options().revoke or is_substitute(life.user_id) or reason == 'renamed' or next_user_id == life.user_id then
    return
  end
  for _, form in ipairs(forms_of(life.user_id)) do
    if call_own('ZCOUNT', user_sessions_key(form), whole(now_ms), '+inf') > 0 then return end
  end
  if has_other_session(life.user_id) then return end
  local deleted = redis.pcall('UNLINK', options().tokens_prefix .. life.user_id .. options().tokens_suffix)
  if deleted == 1 then
    append(life, 'fabric.tokens.revoked', '"userId":' .. json_user(life.user_id))
  elseif deleted ~= 0 then
    revocation_error = deleted.err
  end
end

-- Writes the session and its expiry to its user's set; returns 1 if it was not a member.
local function add_to_user(life)
  local key, score = user_sessions_key(life.user_id), life.expires_ms and whole(life.expires_ms) or '+inf'
  local added = call_own('ZADD', key, score, life.fingerprint)
  redis.call('PEXPIRE', key, PHANTOM_TTL_MS)
  return added
end

-- Adds the session to its user's set, and records an excess if it is a new member over the limit.
local function join_user(life)
  if life.user_id == '' then return end
  local added, key, limit = add_to_user(life), user_sessions_key(life.user_id), options().user_sessions_max
  if added == 0 or limit == 0 then return end
  local live = redis.call('ZCOUNT', key, whole(now_ms), '+inf')
  if live > limit then
    append(life, 'nextauth.session.excess',
      '"userId":' .. json_user(life.user_id) .. ',"sessions":' .. whole(live) .. ',"limit":' .. whole(limit))
  end
end

-- Sets the due time of the session; nil removes it.
local function set_due(ms)
  if ms then
    call_own('ZADD', KEYS[3], whole(ms), ARGV[3])
    redis.call('PEXPIRE', KEYS[3], PHANTOM_TTL_MS)
  else
    call_own('ZREM', KEYS[3], ARGV[3])
  end
end

local function write_phantom(life)
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
  redis.call('PEXPIRE', KEYS[2], life.ended_ms and not life.key_remains and LATE_EVENT_MS or PHANTOM_TTL_MS)
end

-- Records the end of the phantom's life. `extra` may have detected_by, key_remains, deleted, next_user_id. The phantom
-- is kept for a while: with it a late event is recognised, and a lapsed session whose key remains begins no new life.
local function end_life(reason, extra)
  append(phantom, 'nextauth.session.ended', session_data(phantom) .. ',"reason":"' .. reason .. '","duration_s":'
    .. string.format('%.3f', math.max(0, now_ms - phantom.first_seen_ms) / 1000) .. touches_data(phantom)
    .. (extra.key_remains and ',"keyRemains":true' or '') .. (extra.deleted and ',"deleted":true' or ''),
    extra.detected_by)
  leave_user(phantom, reason, extra.next_user_id)
  set_due(nil)
  phantom.alive, phantom.ended_ms, phantom.missing_ms, phantom.key_remains = false, now_ms, nil, extra.key_remains
  write_phantom(phantom)
end

-- Records once per life that neither a TTL nor an expiry ends the session.
local function signal_unbounded(life)
  if life.expires_ms or life.unbounded then return end
  append(life, 'nextauth.session.unbounded', '"userId":' .. json_user(life.user_id))
  life.unbounded = '1'
end

local function new_life(session)
  session.fingerprint, session.key_id, session.life = ARGV[1], ARGV[2], clock[1] .. string.format('%06d', clock[2])
  session.sequence, session.touches = 0, 0
  return session
end

local function begin_life(session)
  local life = new_life(session)
  life.first_seen_ms, life.recorded_ms = now_ms, now_ms
  -- An event that reports an end is about a previous life: this one has just begun.
  life.prior_end_ms = phantom and phantom.ended_ms or reason ~= '' and now_ms or nil
  append(life, 'nextauth.session.created', session_data(life))
  signal_unbounded(life)
  join_user(life)
  set_due(life.expires_ms)
  write_phantom(life)
end

-- The live session: digest, user_id, told_ms, cookie_ms, expires_ms; or nil, the reason why it cannot be read, and a
-- digest. `life` is the life that continues; nil if a new one would begin.
local function read_session(kind, life)
  if kind ~= 'string' then return nil, 'the value is not a string', 'type:' .. kind end
  local size = redis.call('STRLEN', KEYS[1])
  if size > tonumber(ARGV[6]) then return nil, 'the value is too large', 'bytes:' .. whole(size) end
  local text = redis.call('GET', KEYS[1])
  local digest = redis.sha1hex(text)
  local session
  -- Unchanged content, the usual case, is not parsed. After the end of a life that applies only to a lapsed session.
  if phantom and phantom.digest == digest and (life or (phantom.told_ms or MAX_TIME_MS) <= now_ms) then
    session = { digest = digest, user_id = phantom.user_id, told_ms = phantom.told_ms, cookie_ms = phantom.cookie_ms }
  else
    if text:sub(1, 3) == '\239\187\191' then text = text:sub(4) end
    local unreadable
    session, unreadable = read_text(text)
    if not session then return nil, unreadable, digest end
    session.digest = digest
    local user_id = session.user_id
    if user_id ~= '' then -- a life keeps the form in which its first record names the user
      if life and is_form_of(life.user_id, user_id) then
        session.user_id = life.user_id
      elseif options().pseudonymise then
        session.user_id = pseudonym(user_id, options().user_pads[1])
      end
    end
  end
  -- The earlier of TTL and `expires` ends the session. cookie.expires counts only without both: a touch of
  -- connect-redis moves the TTL alone.
  local ttl_ms = redis.call('PTTL', KEYS[1])
  if ttl_ms >= 0 then
    local ttl_end_ms = now_ms + math.max(ttl_ms, 1) -- the key exists, so it has not expired yet
    session.expires_ms = math.min(ttl_end_ms, session.told_ms or MAX_TIME_MS)
  else
    session.expires_ms = session.told_ms or session.cookie_ms
  end
  return session
end

local function same_expiry(a_ms, b_ms)
  return a_ms == b_ms or (a_ms and b_ms and math.abs(a_ms - b_ms) < SAME_EXPIRY_MS)
end

local function processed()
  if revocation_error then error(revocation_error, 0) end
  return { 'processed', table.concat(records, ', ') }
end

-- The reason of the end of the phantom's life, whose key is or was missing. The deletion of a lapsed session is not a
-- logout: NextAuth deletes it on its next read. Without an event there is a leeway, since the phantom's expiry may be
-- up to SAME_EXPIRY_MS late.
local function end_reason()
  local leeway_ms = reason == '' and SAME_EXPIRY_MS or 0
  local lapsed = phantom.expires_ms and phantom.expires_ms - leeway_ms <= (phantom.missing_ms or now_ms)
  if lapsed and (reason == '' or reason == 'logout') then return 'expired' end
  return reason == '' and 'lost' or reason
end

if KEYS[7] and redis.call('EXISTS', KEYS[7]) == 1 then -- the life began under the previous AUDIT_KEY
  if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('RENAME', KEYS[7], KEYS[2]) end
  local due_ms = call_own('ZSCORE', KEYS[3], ARGV[11])
  call_own('ZREM', KEYS[3], ARGV[11])
  if due_ms then call_own('ZADD', KEYS[3], due_ms, ARGV[3]) end
end

phantom = read_phantom()
local kind = redis.call('TYPE', KEYS[1]).ok

if kind == 'none' then
  if not phantom or not phantom.alive then
    if ARGV[4] == 'schedule' then set_due(nil) end
    if phantom and redis.call('PTTL', KEYS[2]) > LATE_EVENT_MS then redis.call('PEXPIRE', KEYS[2], LATE_EVENT_MS) end
    return { 'duplicate', 'no live phantom' }
  end
  if reason == '' and ARGV[4] == 'event' then
    return { 'ignored', 'the key is gone: its own event has the reason' }
  end
  local missing_since_ms = phantom.missing_ms or now_ms
  if end_reason() == 'lost' and math.abs(now_ms - missing_since_ms) < options().lost_after_ms then
    if not phantom.missing_ms then redis.call('HSET', KEYS[2], 'missing_ms', whole(now_ms), 'missing_by', ARGV[4]) end
    set_due(missing_since_ms + options().lost_after_ms)
    return { 'later', 'the key is gone: waiting for the event with the reason' }
  end
  end_life(end_reason(), { detected_by = end_reason() == 'lost' and phantom.missing_by })
  return processed()
end

-- The key was missing before, or an event reports its end, and it exists: the token was used again meanwhile. An event
-- soon after the end of the previous life is a late event of that end (see LATE_EVENT_MS).
local ended_meanwhile = phantom and phantom.alive
  and (phantom.missing_ms or (reason ~= '' and math.abs(now_ms - (phantom.prior_end_ms or 0)) > LATE_EVENT_MS))
local session, fault, digest = read_session(kind, phantom and phantom.alive and not ended_meanwhile and phantom or nil)
if not session then
  if ARGV[4] == 'schedule' then set_due(nil) end
  if redis.pcall('GET', KEYS[4]) == digest then return { 'duplicate', 'the content is a dead letter' } end
  return { 'rejected', fault, digest }
end

local lapsed = session.expires_ms and session.expires_ms <= now_ms
-- Never because of cookie.expires: a client without TTLs may leave it unchanged while the session is in use.
local delete = lapsed and session.told_ms and options().delete
if ended_meanwhile then
  end_life(end_reason(), {
    detected_by = reason == '' and phantom.missing_by,
    next_user_id = not lapsed and session.user_id,
  })
end

if not phantom or not phantom.alive then
  if not lapsed then
    begin_life(session)
    return processed()
  end
  if not delete then
    if phantom and redis.call('PTTL', KEYS[2]) < PHANTOM_TTL_MS / 2 then
      redis.call('PEXPIRE', KEYS[2], PHANTOM_TTL_MS)
    end
    return #records > 0 and processed() or { 'duplicate', 'lapsed earlier' }
  end
  if not phantom then -- never seen alive: record the end only
    phantom = new_life(session)
    append(phantom, 'nextauth.session.ended',
      session_data(phantom) .. ',"reason":"expired","duration_s":null,"touches":0,"deleted":true')
  end
  redis.call('UNLINK', KEYS[1])
  return #records > 0 and processed() or { 'processed', 'lapsed session deleted' }
end

if lapsed then
  phantom.expires_ms = session.expires_ms
  end_life('expired', { key_remains = not delete, deleted = delete })
  if delete then redis.call('UNLINK', KEYS[1]) end
  return processed()
end

local user_changed = session.user_id ~= phantom.user_id
local expiry_changed = not same_expiry(session.expires_ms, phantom.expires_ms)
if not user_changed and not expiry_changed and session.digest == phantom.digest then
  -- The schedule has postponed the due time: set it. A sweep restores a due time or a member of a user's set that was
  -- lost (evicted, or overwritten by another application).
  local swept, user_id = ARGV[4] == 'sweep', phantom.user_id
  local due_time_lost = swept and session.expires_ms and not call_own('ZSCORE', KEYS[3], ARGV[3])
  if ARGV[4] == 'schedule' or due_time_lost then set_due(session.expires_ms) end
  if swept and user_id ~= '' and not call_own('ZSCORE', user_sessions_key(user_id), phantom.fingerprint) then
    add_to_user(phantom)
  end
  if redis.call('PTTL', KEYS[2]) < PHANTOM_TTL_MS / 2 then -- the phantom has to outlive a long life
    redis.call('PEXPIRE', KEYS[2], PHANTOM_TTL_MS)
    if user_id ~= '' then redis.call('PEXPIRE', user_sessions_key(user_id), PHANTOM_TTL_MS) end
    redis.call('PEXPIRE', KEYS[3], PHANTOM_TTL_MS)
  end
  return { 'duplicate', 'nothing changed' }
end

local previous = {
  user_id = phantom.user_id, fingerprint = phantom.fingerprint, life = phantom.life, key_id = phantom.key_id,
}
for name in pairs({ digest = 1, user_id = 1, told_ms = 1, cookie_ms = 1 }) do phantom[name] = session[name] end
if expiry_changed then phantom.expires_ms = session.expires_ms end
if user_changed then
  append(phantom, 'nextauth.session.changed',
    session_data(phantom) .. ',"previousUserId":' .. json_user(previous.user_id) .. touches_data(phantom))
elseif expiry_changed and (now_ms - phantom.recorded_ms >= options().refresh_min_ms or not session.expires_ms) then
  append(phantom, 'nextauth.session.refreshed', session_data(phantom) .. touches_data(phantom))
end
if #records > 0 then
  phantom.recorded_ms, phantom.touches = now_ms, 0
else
  phantom.touches = phantom.touches + 1
end
signal_unbounded(phantom)
if user_changed then
  previous.sequence = phantom.sequence
  leave_user(previous)
  phantom.sequence = previous.sequence
end
if user_changed or expiry_changed then join_user(phantom) end
if expiry_changed or ARGV[4] == 'schedule' then set_due(session.expires_ms) end
write_phantom(phantom)
if #records == 0 then return { 'duplicate', 'touch counted' } end
return processed()
