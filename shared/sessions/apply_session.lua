-- Writes what was decided about a session, if session and phantom are still those that were looked at.
--
-- KEYS[1]  the session; read, and deleted if `delete` says so
-- KEYS[2]  its phantom: a hash, see phantom.py
-- KEYS[3]  the audit stream; each entry has two fields, event: a CloudEvents 1.0 JSON object, n: its running number
-- KEYS[4]  state of the audit log: a hash; its field `appended` is the last running number
-- KEYS[5]  the phantom under the previous AUDIT_KEY; read if `adopt` is true
-- KEYS[6]  ... keys that the plan names by their positions in KEYS
-- ARGV[1]  SHA-1 of the session's text; '' for a session that is missing; '*' if it does not matter
-- ARGV[2]  its size in bytes
-- ARGV[3]  digest of the phantom
-- ARGV[4]  the plan, as MessagePack: plan.py describes it
-- ARGV[5]  TTL of phantoms and of the app's sorted sets, in ms
-- ARGV[6]  ... fields of the phantom
--
-- Returns {'moved'}, and nothing was written; or {'applied', position of each record that was appended, ...}.
--
-- Invariant: each record is appended once, whatever Redis refuses (an ACL, a full stream):
--   1. First, what can be repeated, and a trial of each command that follows. A refusal leaves no record and no new
--      state, so the next look decides the same again.
--   2. Then the marker: the new state of the phantom. From here on this call is the only one with this decision.
--   3. Then the records. If one of them is refused, it and those after it go into the phantom's field `pending`, by a
--      command that was accepted in 2; the next look finds and completes them.
-- A value of another type in place of one of the app's own keys is removed.

local MAX_FIELD_BYTES = 16384

local function read_digest(key) -- as in look_session.lua
  if redis.call('TYPE', key).ok ~= 'hash' then return '' end
  local encoding = redis.pcall('OBJECT', 'ENCODING', key)
  if encoding ~= 'listpack' and encoding ~= 'ziplist' then
    for position = 6, #ARGV do
      if redis.call('HSTRLEN', key, ARGV[position]) > MAX_FIELD_BYTES then return 'too long' end
    end
  end
  return redis.sha1hex(cmsgpack.pack(redis.call('HMGET', key, unpack(ARGV, 6))))
end

local function is_unchanged()
  if ARGV[1] == '*' then return true end
  local kind = redis.call('TYPE', KEYS[1]).ok
  if kind ~= 'string' then return kind == 'none' and ARGV[1] == '' end
  -- The length first: to hash a large value takes long.
  return redis.call('STRLEN', KEYS[1]) == tonumber(ARGV[2]) and redis.sha1hex(redis.call('GET', KEYS[1])) == ARGV[1]
end

local plan = cmsgpack.unpack(ARGV[4])
if plan.adopt then
  if redis.call('EXISTS', KEYS[2]) == 1 or read_digest(KEYS[5]) ~= ARGV[3] then return { 'moved' } end
elseif read_digest(KEYS[2]) ~= ARGV[3] then
  return { 'moved' }
end
if not is_unchanged() then return { 'moved' } end

local function is_refused(reply) return type(reply) == 'table' and reply.err end

-- Runs a command on a key of the app's own; a value of another type, from another application, is removed first.
local function attempt(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if not is_refused(reply) or not reply.err:find('WRONGTYPE', 1, true) then return reply end
  redis.call('UNLINK', key)
  return redis.pcall(command, key, ...)
end

local function own(command, key, ...)
  local reply = attempt(command, key, ...)
  if is_refused(reply) then error(reply.err, 0) end
  return reply
end

local function whole(value) return string.format('%.0f', value) end

-- 1. What can be repeated, and trials.
if plan.adopt then redis.call('RENAME', KEYS[5], KEYS[2]) end
if plan.delete then redis.call('UNLINK', KEYS[1]) end
for _, change in ipairs(plan.members) do
  local key, member, score = KEYS[change[1]], change[2], change[3]
  if score ~= '' then
    own('ZADD', key, score, member)
    redis.call('PEXPIRE', key, ARGV[5])
  else
    own('ZREM', key, member)
  end
end
for _, position in ipairs(plan.renew) do redis.call('PEXPIRE', KEYS[position], ARGV[5]) end
if #plan.fields > 0 then
  redis.call('PEXPIRE', KEYS[2], ARGV[5])
  if #plan.drop > 0 then redis.call('HDEL', KEYS[2], 'no such field') end
end

-- The running number of the last record. If the state is lost (evicted, for instance), the newest entry still has it.
local function last_number()
  if own('HSTRLEN', KEYS[4], 'appended') <= 15 then
    local text = redis.call('HGET', KEYS[4], 'appended')
    if text and text:find('^%d+$') then return tonumber(text) end
  end
  local newest, last = own('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)[1], 0
  for position, field in ipairs(newest and newest[2] or {}) do
    local value = newest[2][position + 1]
    if field == 'n' and position % 2 == 1 and #value <= 15 and value:find('^%d+$') then last = tonumber(value) end
  end
  return last
end

local number
local function write_number() own('HSET', KEYS[4], 'appended', whole(number)) end
if #plan.records > 0 then
  number = last_number()
  write_number()
end

local function live_sessions(position) return own('ZCOUNT', KEYS[position], plan.now_ms, '+inf') end

-- Whether NextAuth's index names another session of the user that exists, perhaps one whose event has not arrived.
local function has_other_session(revoke)
  local index = revoke.index
  if redis.call('TYPE', index).ok ~= 'string' or redis.call('STRLEN', index) > 8192 then return false end
  local session = redis.call('GET', index)
  if session:sub(1, #revoke.prefix) ~= revoke.prefix then session = revoke.prefix .. session end
  return session ~= KEYS[1] and redis.call('EXISTS', session) == 1
end

-- By condition of a record: what completes its text, or false if it does not hold.
local conditions = {
  [''] = function() return '' end,
  excess = function(record)
    local live = live_sessions(plan.sets[record[6]][1])
    return live > plan.limit and whole(live) .. '}}'
  end,
  revoked = function(record)
    for _, position in ipairs(plan.sets[record[6]]) do
      if live_sessions(position) > 0 then return false end
    end
    return not has_other_session(plan.revoke[record[6]]) and ''
  end,
}

local due, sequence = {}, plan.sequence
for position, record in ipairs(plan.records) do
  local ending = conditions[record[2]](record)
  if ending and record[2] ~= 'revoked' then -- whether that is recorded depends on the deletion
    record[2], record[5] = '', record[5] .. ending
    if record[3] == 0 then
      sequence = sequence + 1
      record[3] = sequence
    end
  end
  if ending then due[#due + 1] = { position, record } end
end

-- 2. The marker.
if #plan.fields > 0 then
  own('HSET', KEYS[2], 'sequence', whole(sequence), unpack(plan.fields))
  if #plan.drop > 0 then redis.call('HDEL', KEYS[2], unpack(plan.drop)) end
end
if plan.phantom_ttl_ms > 0 then redis.call('PEXPIRE', KEYS[2], plan.phantom_ttl_ms) end

-- 3. The records.
local applied, pending, refusal = { 'applied' }, {}, nil
for _, item in ipairs(due) do
  local record, reply = item[2], nil
  if record[2] == 'revoked' then
    reply = redis.pcall('UNLINK', plan.revoke[record[6]].tokens)
    if reply == 1 then
      record[2] = ''
      if record[3] == 0 then
        sequence = sequence + 1
        record[3] = sequence
        redis.call('HSET', KEYS[2], 'sequence', whole(sequence))
      end
    end
  end
  if record[2] == '' then
    reply = attempt('XADD', KEYS[3], 'MAXLEN', '~', plan.stream_max, '*', 'event',
      record[4] .. whole(record[3]) .. record[5], 'n', whole(number + 1))
  end
  if is_refused(reply) then
    refusal, pending[#pending + 1] = reply, record
  elseif record[2] == '' then
    number = number + 1
    applied[#applied + 1] = item[1]
  end
end
if #plan.records > 0 then write_number() end
if refusal then
  redis.call('HSET', KEYS[2], 'pending', cmsgpack.pack(pending))
  redis.call('PEXPIRE', KEYS[2], ARGV[5])
  return refusal
end
return applied
