-- Looks at a session and at its phantom, its last recorded state.
--
-- KEYS[1]  the session as its client wrote it
-- KEYS[2]  its phantom: a hash, see phantom.py
-- KEYS[3]  due times: a sorted set of sealed tokens
-- KEYS[4]  mark with the digest of content that is a dead letter
-- KEYS[5]  the phantom under the previous AUDIT_KEY, if there is one
-- ARGV[1]  largest session that is read, in bytes
-- ARGV[2]  the sealed token
-- ARGV[3]  for a sweep the prefix of the sets of users' sessions, else ''
-- ARGV[4]  '1' if a sweep found the phantom: then a session that exists is left to the sweep of its own key
-- ARGV[5]  '1' if the event reports an end: then the text is returned although it is unchanged
-- ARGV[6]  '1' if a session that is the same, without a TTL, needs no decision: an event, or a bulk scan
--
-- Returns {reason} if there is nothing to decide, else
--   1 time in us, 2 type of the session, 3 its size in bytes, 4 its TTL in ms (negative for none),
--   5 SHA-1 of its text; '' if there was nothing to compare with, 6 its text; nil if it is unchanged or too large,
--   7 values of FIELDS in the phantom, 8 their digest, 9 its TTL in ms, 10 '1' if it is under the previous AUDIT_KEY,
--   11 '1' if there is a due time, 12 '1' if the user's set has the session (11 and 12 for a sweep only),
--   13 the mark
--
-- Invariant: reads only. What is loaded is bounded before: the session by ARGV[1], each field of the phantom by
-- MAX_FIELD_BYTES, `pending` at most MAX_PENDING_BYTES. A phantom that is not a hash, or has a longer field, counts as
-- none.

local MAX_FIELD_BYTES, MAX_PENDING_BYTES = 16384, 262144
local FIELDS = { 'digest', 'ended_ms', 'missing_ms', 'user_id', 'fingerprint', 'key_id', 'life', 'first_seen_ms',
  'sequence', 'recorded_ms', 'touches', 'unbounded', 'prior_end_ms', 'expires_ms', 'told_ms', 'cookie_ms', 'missing_by',
  'heard_ms', 'pending', 'v' } -- as in phantom.py

if ARGV[4] == '1' and redis.call('EXISTS', KEYS[1]) == 1 then return { 'its own key is swept too' } end

local function read_phantom(key) -- as in apply_session.lua
  if redis.call('TYPE', key).ok ~= 'hash' then return {}, '' end
  local encoding = redis.pcall('OBJECT', 'ENCODING', key)
  if encoding ~= 'listpack' and encoding ~= 'ziplist' then -- those hold short values only
    for _, name in ipairs(FIELDS) do
      if redis.call('HSTRLEN', key, name) > (name == 'pending' and MAX_PENDING_BYTES or MAX_FIELD_BYTES) then return {}, 'too long' end
    end
  end
  local values = redis.call('HMGET', key, unpack(FIELDS))
  return values, redis.sha1hex(cjson.encode(values))
end

local phantom_key, is_former = KEYS[2], KEYS[5] and redis.call('EXISTS', KEYS[2]) == 0
  and redis.call('EXISTS', KEYS[5]) == 1
if is_former then phantom_key = KEYS[5] end
local phantom, phantom_digest = read_phantom(phantom_key)
local function has(position) return phantom[position] and phantom[position] ~= '' end

local kind, size, digest, text, is_unchanged = redis.call('TYPE', KEYS[1]).ok, 0, '', false, false
if kind == 'string' then
  size = redis.call('STRLEN', KEYS[1])
  if size <= tonumber(ARGV[1]) then
    text = redis.call('GET', KEYS[1])
    if has(1) then
      digest = redis.sha1hex(text)
      is_unchanged = digest == phantom[1] and not has(2) and not has(3) and ARGV[5] ~= '1'
      if is_unchanged then text = false end
    end
  end
end

local clock, ttl_ms = redis.call('TIME'), redis.call('PTTL', KEYS[1])
local now_us = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
-- The usual case while events queue up: recorded already, by this version, with no record waiting.
if ARGV[6] == '1' and is_unchanged and ttl_ms == -1 and phantom[20] == '2' and not has(19) then
  local expires_ms = has(15) and phantom[15] or phantom[16] -- told_ms or cookie_ms
  if expires_ms == phantom[14] and (tonumber(expires_ms) or 0) > now_us / 1000 then
    return { 'nothing changed' }
  end
end

local due, member = '', ''
if ARGV[3] ~= '' then
  local score = redis.pcall('ZSCORE', KEYS[3], ARGV[2])
  if type(score) == 'string' or type(score) == 'number' then due = '1' end
  if has(4) and has(5) then
    score = redis.pcall('ZSCORE', ARGV[3] .. phantom[4], phantom[5])
    if type(score) == 'string' or type(score) == 'number' then member = '1' end
  end
end

local mark = redis.pcall('GETRANGE', KEYS[4], 0, 63)
return { now_us, kind, size, ttl_ms, digest, text,
  phantom, phantom_digest, redis.call('PTTL', phantom_key), is_former and '1' or '', due, member,
  type(mark) == 'string' and mark or '' }
