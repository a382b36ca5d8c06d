-- Writes what was decided about a session, if session and phantom are still those that were looked at.
--
-- KEYS[1]  the session; read, and deleted if the plan says so
-- KEYS[2]  its phantom: a hash, see phantom.py
-- KEYS[3]  the audit stream; each entry has two fields, event: a CloudEvents 1.0 JSON object, n: its running number
-- KEYS[4]  state of the audit log: a hash; its field `appended` is the last running number
-- KEYS[5]  the phantom under the previous AUDIT_KEY; KEYS[2] again if there is none, or if the plan is to leave it
-- KEYS[6]  ... sorted sets that the plan names by their positions in KEYS
-- ARGV[1]  SHA-1 of the session's text; '' for a session that is missing; '*' if it does not matter
-- ARGV[2]  its size in bytes
-- ARGV[3]  digest of the phantom
-- ARGV[4]  the plan, as JSON: plan.py describes it
-- ARGV[5]  TTL of phantoms and of the app's sorted sets, in ms
--
-- Returns {'moved'}, and nothing was written; or {'applied', position of each record that was appended, ...}; or the
-- error with which Redis refused a command (an ACL, a full stream).
--
-- Invariant: each record is appended once, whatever Redis refuses. The marker comes first: the new state of the phantom.
-- If it is refused, the next look decides the same again. After it, this decision is made; a command that is refused
-- stops none of the others. Records that could not be appended go into the phantom's field `pending`, by the command
-- that wrote the marker; the next look brings them back. A sweep adds missing members to sorted sets, and TTLs.
-- A value of another type in place of one of the app's own keys is removed.

local MAX_FIELD_BYTES, MAX_PENDING_BYTES = 16384, 262144
local FIELDS = { 'digest', 'ended_ms', 'missing_ms', 'user_id', 'fingerprint', 'key_id', 'life', 'first_seen_ms',
  'sequence', 'recorded_ms', 'touches', 'unbounded', 'prior_end_ms', 'expires_ms', 'told_ms', 'cookie_ms', 'missing_by',
  'heard_ms', 'pending', 'v' } -- as in phantom.py

local function read_digest(key) -- as in look_session.lua
  if redis.call('TYPE', key).ok ~= 'hash' then return '' end
  local encoding = redis.pcall('OBJECT', 'ENCODING', key)
  if encoding ~= 'listpack' and encoding ~= 'ziplist' then
    for _, name in ipairs(FIELDS) do
      if redis.call('HSTRLEN', key, name) > (name == 'pending' and MAX_PENDING_BYTES or MAX_FIELD_BYTES) then return 'too long' end
    end
  end
  return redis.sha1hex(cjson.encode(redis.call('HMGET', key, unpack(FIELDS))))
end

local function is_unchanged()
  if ARGV[1] == '*' then return true end
  local kind = redis.call('TYPE', KEYS[1]).ok
  if kind ~= 'string' then return kind == 'none' and ARGV[1] == '' end
  -- The length first: to hash a large value takes long.
  return redis.call('STRLEN', KEYS[1]) == tonumber(ARGV[2]) and redis.sha1hex(redis.call('GET', KEYS[1])) == ARGV[1]
end

local plan = cjson.decode(ARGV[4])
if plan.adopt and redis.call('EXISTS', KEYS[2]) == 1 then return { 'moved' } end
-- While AUDIT_KEY is changed, an instance with the other key may have begun the life meanwhile.
if not plan.adopt and redis.call('EXISTS', KEYS[2]) == 0 and redis.call('EXISTS', KEYS[5]) == 1 then return { 'moved' } end
if read_digest(plan.adopt and KEYS[5] or KEYS[2]) ~= ARGV[3] or not is_unchanged() then return { 'moved' } end

local refusal

local function is_refused(reply) return type(reply) == 'table' and reply.err end

-- Runs a command on a key of the app's own; a value of another type, from another application, is removed first.
local function attempt(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if is_refused(reply) and reply.err:find('WRONGTYPE', 1, true) then
    redis.pcall('UNLINK', key)
    reply = redis.pcall(command, key, ...)
  end
  if is_refused(reply) then refusal = reply end
  return reply
end

-- For what has to succeed before the marker is written; if it does not, the sorted sets are as they were.
local undo = {}
local function must(command, key, ...)
  local reply = attempt(command, key, ...)
  if is_refused(reply) then
    for _, former in ipairs(undo) do redis.pcall(unpack(former)) end
    error(reply.err, 0)
  end
  return reply
end

local function whole(value) return string.format('%.0f', value) end

-- Changes a sorted set. If Redis refuses that, `missed` counts the members that it should have more than it has.
local missed = {}
local function change(position, member, score)
  local key, reply = KEYS[position], nil
  local former = redis.pcall('ZSCORE', key, member)
  if score == '' then reply = attempt('ZREM', key, member) else reply = attempt('ZADD', key, score, member) end
  if not is_refused(reply) and not is_refused(former) then
    undo[#undo + 1] = former and { 'ZADD', key, former, member } or { 'ZREM', key, member }
  end
  if is_refused(reply) then
    local stored = tonumber(redis.call('ZSCORE', key, member) or 0)
    missed[position] = (score == '' and 0 or 1) - (stored >= plan.now_ms and 1 or 0)
  end
  return reply
end

for _, item in ipairs(plan.members) do change(item[1], item[2], item[3]) end

-- The running number of the last record. If the state is lost (evicted, for instance), the newest entry still has it.
local function last_number()
  if must('HSTRLEN', KEYS[4], 'appended') <= 15 then
    local text = redis.call('HGET', KEYS[4], 'appended')
    if text and text:find('^%d+$') then return tonumber(text) end
  end
  local newest, last = must('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)[1], 0
  for position, field in ipairs(newest and newest[2] or {}) do
    local value = newest[2][position + 1]
    if field == 'n' and position % 2 == 1 and #value <= 15 and value:find('^%d+$') then last = tonumber(value) end
  end
  return last
end

local number
local function write_number() must('HSET', KEYS[4], 'appended', whole(number)) end
if #plan.records > 0 then
  number = last_number()
  write_number() -- a trial: afterwards it is not refused
end

local function live_sessions(position)
  return must('ZCOUNT', KEYS[position], plan.now_ms, '+inf') + (missed[position] or 0)
end

-- Whether NextAuth's index names another session of the user that exists, perhaps one whose event has not arrived.
local function has_other_session(revoke)
  if redis.call('TYPE', revoke.index).ok ~= 'string' or redis.call('STRLEN', revoke.index) > 8192 then return false end
  local session = redis.call('GET', revoke.index)
  if session:sub(1, #revoke.prefix) ~= revoke.prefix then session = revoke.prefix .. session end
  return session ~= KEYS[1] and redis.call('EXISTS', session) == 1
end

-- Whether a record is due, by its condition (records.py); completes its text.
local is_due = {
  [''] = function() return true end,
  deleted = function() return true end,
  left = function(record) return is_refused(change(plan.sets[record[6]][1], record[4], '')) end,
  excess = function(record)
    local live = live_sessions(plan.sets[record[6]][1])
    record[5] = record[5] .. whole(live) .. '}}'
    return live > plan.limit
  end,
  revoked = function(record)
    for _, position in ipairs(plan.sets[record[6]]) do
      if live_sessions(position) > 0 then return false end
    end
    return not has_other_session(plan.revoke[record[6]])
  end,
}

local due, sequence = {}, plan.sequence
for position, record in ipairs(plan.records) do
  if is_due[record[2]](record) then
    due[#due + 1] = { position, record }
    if record[3] == 0 and record[2] ~= 'revoked' then -- that is recorded only if there are tokens to delete
      sequence = sequence + 1
      record[3] = sequence
    end
  end
end

-- The marker.
if #plan.fields > 0 then must('HSET', KEYS[2], 'sequence', whole(sequence), unpack(plan.fields)) end
undo = {}

if plan.adopt then attempt('UNLINK', KEYS[5]) end
local is_deleted = plan.delete and not is_refused(attempt('UNLINK', KEYS[1]))

local applied, pending = { 'applied' }, {}

local function append(record, position)
  local tail = record[5]
  if record[2] == 'deleted' and not is_deleted then tail = record[7] end
  record[2], record[5] = '', tail -- what was due now is due whenever it is appended
  local reply = attempt('XADD', KEYS[3], 'MAXLEN', '~', plan.stream_max, '*', 'event',
    record[4] .. whole(record[3]) .. tail, 'n', whole(number + 1))
  if is_refused(reply) then
    pending[#pending + 1] = record
  else
    number = number + 1
    applied[#applied + 1] = position
  end
end

for _, item in ipairs(due) do
  local position, record = item[1], item[2]
  if record[2] == 'left' then
    pending[#pending + 1] = record
  elseif record[2] ~= 'revoked' then
    append(record, position)
  else
    local deleted = attempt('UNLINK', plan.revoke[record[6]].tokens)
    if is_refused(deleted) then
      pending[#pending + 1] = record
    elseif deleted > 0 then
      if record[3] == 0 then
        sequence = sequence + 1
        record[3] = sequence
        redis.call('HSET', KEYS[2], 'sequence', whole(sequence))
      end
      append(record, position)
    end
  end
end

if #plan.records > 0 then write_number() end
for _, position in ipairs(plan.renew) do attempt('PEXPIRE', KEYS[position], ARGV[5]) end
if #pending > 0 then redis.call('HSET', KEYS[2], 'pending', cjson.encode(pending)) end
if plan.phantom_ttl_ms > 0 then attempt('PEXPIRE', KEYS[2], refusal and ARGV[5] or plan.phantom_ttl_ms) end
return refusal or applied
