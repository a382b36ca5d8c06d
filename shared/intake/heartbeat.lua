-- Publish heartbeats that are due, register this instance, and return what is known of both.
--
-- KEYS   1 instances by identity: hash of 'MS STATE DIVISION HEARD,HEARD,...' (when it was last here, by Redis' clock)
--        2 last heartbeat by channel: hash of 'NUMBER MS'
-- ARGV   1 identity
--        2 its state, a word; empty if it must not be registered
--        3 how it divides the keys: hexadecimal digits, which only instances that divide alike have in common
--        4 how long a registration holds, in ms
--        5.. per lane: channel, least time between two heartbeats in ms, number of the last one heard here
-- Returns {time in ms, error with which Redis refused to publish or '', {per lane: number, ms sent, number heard by any
-- process of this instance}, {per living instance: identity, state, division, ms since it was last here}}.
--
-- Invariant: numbers of a channel only grow by 1, so a missing one is a lost message. They begin at Redis' time in ms:
-- after a FLUSHALL they jump, which looks like a loss and is one. A number is stored before it is published, or it
-- would be used twice while Redis is full. All instances share the heartbeats: N instances publish as many as one. What
-- another application wrote here is dropped; a hash is bounded before it is loaded.

if redis.replicate_commands then redis.replicate_commands() end -- as in sweep_acquire.lua

local MAX_NUMBER = 10 ^ 15 - 1 -- 15 digits
local MAX_FIELDS, MAX_BYTES, KEPT_MS, TTL_S = 200, 65536, 60 * 1000, 3600
local identity, state, division, holds_ms = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local FIRST_LANE = 5
local clock = redis.call('TIME')
local now_ms = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local refused = ''

-- What cannot be stored (Redis is full) is left out: the next call tries again.
local function written(...)
    local reply = redis.pcall(...)
    return not (type(reply) == 'table' and reply.err), reply
end

local function bounded(key)
    if redis.call('TYPE', key).ok == 'hash' and redis.call('HLEN', key) <= MAX_FIELDS then
        local bytes = redis.pcall('MEMORY', 'USAGE', key, 'SAMPLES', 0)
        if type(bytes) ~= 'number' or bytes <= MAX_BYTES then return end
    end
    written('DEL', key)
end

local function integer(text)
    return text and #text <= 15 and text:find('^%d+$') and tonumber(text) or 0
end

local function text_of(number) return string.format('%.0f', number) end

for _, key in ipairs(KEYS) do bounded(key) end

local function host_of(name) return name:match('^[^/]*') end

local function heard_by(text)
    local numbers = {}
    for number in (text or ''):gmatch('%d+') do numbers[#numbers + 1] = integer(number) end
    return numbers
end

local here = {}
for i = FIRST_LANE, #ARGV, 3 do here[#here + 1] = integer(ARGV[i + 2]) end
if state ~= '' then
    local texts = {}
    for lane, number in ipairs(here) do texts[lane] = text_of(number) end
    local registration = table.concat({text_of(now_ms), state, division, table.concat(texts, ',')}, ' ')
    if written('HSET', KEYS[1], identity, registration) then written('EXPIRE', KEYS[1], TTL_S) end
end

local living, members = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #living, 2 do
    local name, seen, its_state, its_division, heard =
        living[i], living[i + 1]:match('^(%d+) (%a+) (%x+) ([%d,]*)$')
    local age_ms = now_ms - integer(seen)
    if not seen or age_ms > KEPT_MS or age_ms < -holds_ms then
        written('HDEL', KEYS[1], name)
    elseif age_ms <= holds_ms then
        members[#members + 1] = name
        members[#members + 1] = its_state
        members[#members + 1] = its_division
        members[#members + 1] = text_of(math.max(0, age_ms))
        if host_of(name) == host_of(identity) then
            for lane, number in ipairs(heard_by(heard)) do
                if here[lane] then here[lane] = math.max(here[lane], number) end
            end
        end
    end
end

local lanes = {}
for i = FIRST_LANE, #ARGV, 3 do
    local channel, pace_ms = ARGV[i], tonumber(ARGV[i + 1])
    local last, sent = (redis.call('HGET', KEYS[2], channel) or ''):match('^(%d+) (%d+)$')
    local number, sent_ms = integer(last), integer(sent)
    if refused == '' and (number == 0 or now_ms - sent_ms >= pace_ms or sent_ms > now_ms) then
        local next_number = (number == 0 or number == MAX_NUMBER) and now_ms or number + 1
        local beat = text_of(next_number) .. ' ' .. text_of(now_ms)
        if written('HSET', KEYS[2], channel, beat) then
            local published, reply = written('PUBLISH', channel, 'heartbeat ' .. beat)
            if published then
                number, sent_ms = next_number, now_ms
            else
                refused = reply.err
                if number == 0 then
                    written('HDEL', KEYS[2], channel)
                else
                    written('HSET', KEYS[2], channel, text_of(number) .. ' ' .. text_of(sent_ms))
                end
            end
        end
    end
    lanes[#lanes + 1] = text_of(number)
    lanes[#lanes + 1] = text_of(sent_ms)
    lanes[#lanes + 1] = text_of(here[(i - FIRST_LANE) / 3 + 1])
end
written('EXPIRE', KEYS[2], TTL_S)

return {text_of(now_ms), refused, lanes, members}
