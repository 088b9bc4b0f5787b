-- The first part of every script: who asks, whether its session lives, what it was answered before, and hand-over to
-- those that wait. A structure's own part comes next, then life.lua if it is about that, and epilogue.lua last;
-- `scripts.py` joins them.
--
--   KEYS[1]   the structure's hash, {prefix:name}:incarnation. Its other keys begin with that, so all are in one slot:
--      :sessions  sorted set: each session that has the structure open, and when its lease ends (ms of the server);
--                 also tickets, which keep it for a process that is being started
--      :last      hash: session and lane -> the last operation of that lane, and what it was answered
--      :granted   hash: session and operation -> what was handed out and is not acknowledged
--      :line      list: session, operation and more of each wait, the first to be served in front
--   ARGV      session, lane, operation, operations that are acknowledged, method, arguments of the method
--
-- Numbers of Lua are doubles: what may pass 2^53 stays text.

local base, me, lane, op, method = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[5]
local sessions, last, granted, line = base .. ':sessions', base .. ':last', base .. ':granted', base .. ':line'
local SUFFIXES = {'', ':sessions', ':last', ':granted', ':line', ':items', ':putters', ':pending', ':joiners'}
local LAYOUT = '1'
local GRACE = 1000 -- ms that a session without a connection has left

local clock = redis.call('TIME') -- once: on 7.0 it goes on within a script
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local micros = clock[1] * 1000000 + clock[2]

-- What the other parts fill in. A reader changes nothing; a call does, and is never run twice; `life` may be run again.
local reader, call, life = {}, {}, {}
local structure = {
    begin = function() end, -- the first contents, from the arguments of `create`
    forget = function(sid, died) end, -- the session `sid` is gone, and its waits with it
    back = function(given, sid, died) end, -- what was handed out and did not arrive goes back
    serve = function() end, -- give what is free to those that wait
    again = function(answer) return answer end, -- what an operation is answered that was answered so before
    withdraw = function(entry) return redis.call('LREM', line, 1, entry) end, -- end a wait; how many parts it had left
}

-- The key of the name.
local function pointer() return (string.match(base, '^(.*):')) end

local function text(number) return string.format('%.0f', number) end

local function get(field) return redis.call('HGET', base, field) end

-- A key that has just come about ends when the structure does, should nobody be left to remove it.
local function born(key)
    local ends = redis.call('PEXPIRETIME', base)
    if ends > 0 then redis.call('PEXPIREAT', key, text(ends)) end
end

local function begins(entry, with) return string.sub(entry, 1, #with) == with end

local function alive(sid)
    local ends = redis.call('ZSCORE', sessions, sid)
    return ends and tonumber(ends) >= now
end

local function is_ticket(sid) return begins(sid, 'ticket-') end

local function channel(sid) return 'sharedkit:session:' .. sid end

-- Tell a session that the operations (one, or several with commas between) have their answer. False: it hears nothing.
local function tell(sid, ops, message)
    if redis.call('PUBLISH', channel(sid), ops .. ' ' .. message) > 0 then return true end
    redis.call('ZADD', sessions, 'XX', 'LT', now + GRACE, sid)
    return false
end

local function grant(sid, operation, given)
    if redis.call('HSET', granted, sid .. ' ' .. operation, given) == 1 and redis.call('HLEN', granted) == 1 then
        born(granted)
    end
end

-- The asker waits. The entry is what `Operation.entry` of session.py says: session, operation and more, if there is more.
local function wait_in(list, more)
    local entry = me .. ' ' .. ARGV[3]
    if more and more ~= '' then entry = entry .. ' ' .. more end
    if redis.call('RPUSH', list, entry) == 1 then born(list) end
end

-- Hand `given` over to the first of a line whose session lives and hears of it, and return its session, operation and
-- the rest of its entry. Those that hear nothing keep their places until their lease ends.
local function hand(list, message, given)
    local aside, who, operation, rest = {}, nil, nil, nil
    while not who do
        local entry = redis.call('LPOP', list)
        if not entry then break end
        local sid, number, more = string.match(entry, '^(%S+) (%d+) ?(.*)$')
        if alive(sid) then
            if tell(sid, number, message) then
                grant(sid, number, given)
                who, operation, rest = sid, number, more
            else
                table.insert(aside, entry)
            end
        end
    end
    for i = #aside, 1, -1 do redis.call('LPUSH', list, aside[i]) end
    return who, operation, rest
end

-- The same for all of a line.
local function hand_to_all(list, message, given)
    local ops = {}
    for _, entry in ipairs(redis.call('LRANGE', list, 0, -1)) do
        local sid, number = string.match(entry, '^(%S+) (%d+)')
        if alive(sid) then
            grant(sid, number, given)
            ops[sid] = ops[sid] and ops[sid] .. ',' .. number or number
        end
    end
    redis.call('DEL', list)
    for sid, numbers in pairs(ops) do tell(sid, numbers, message) end
end

local function fields_of(hash, sid)
    local found, with = {}, sid .. ' '
    for _, field in ipairs(redis.call('HKEYS', hash)) do
        if begins(field, with) then table.insert(found, field) end
    end
    return found
end

-- A session ends here: its waits, what it was handed and never acknowledged, what it holds.
local function drop(sid, died)
    redis.call('ZREM', sessions, sid)
    for _, list in ipairs({line, base .. ':joiners'}) do
        for _, entry in ipairs(redis.call('LRANGE', list, 0, -1)) do
            if begins(entry, sid .. ' ') then redis.call('LREM', list, 0, entry) end
        end
    end
    local unheard = {}
    for _, field in ipairs(fields_of(granted, sid)) do
        table.insert(unheard, redis.call('HGET', granted, field))
        redis.call('HDEL', granted, field)
    end
    for _, field in ipairs(fields_of(last, sid)) do redis.call('HDEL', last, field) end
    structure.back(unheard, sid, died)
    structure.forget(sid, died)
end

-- End the sessions whose leases are over. It ends nothing else, so every script may begin with it.
local function reap()
    for _, sid in ipairs(redis.call('ZRANGEBYSCORE', sessions, '-inf', '(' .. text(now))) do drop(sid, true) end
end

-- How many hear on the channels of these sessions.
local function heard_by(sids)
    local heard = {}
    for first = 1, #sids, 1000 do
        local channels = {}
        for i = first, math.min(first + 999, #sids) do table.insert(channels, channel(sids[i])) end
        local counts = redis.call('PUBSUB', 'NUMSUB', unpack(channels))
        for i = 2, #counts, 2 do table.insert(heard, counts[i]) end
    end
    return heard
end

-- Sessions without a connection have a grace left: a client that only lost its line is back by then.
local function shorten()
    local all = redis.call('ZRANGE', sessions, 0, -1)
    for i, heard in ipairs(heard_by(all)) do
        if heard == 0 and not is_ticket(all[i]) then
            redis.call('ZADD', sessions, 'XX', 'LT', now + GRACE, all[i])
        end
    end
end

-- The sessions that are connected.
local function living_sessions()
    local all, living = redis.call('ZRANGEBYSCORE', sessions, text(now), '+inf'), {}
    for i, heard in ipairs(heard_by(all)) do
        if heard > 0 then table.insert(living, all[i]) end
    end
    return living
end

local function remove(whose)
    for _, suffix in ipairs(SUFFIXES) do redis.call('DEL', whose .. suffix) end
    local there = redis.call('GET', pointer())
    if there and pointer() .. ':' .. string.match(there, '(%S+) %S+$') == whose then redis.call('DEL', pointer()) end
end

local function is_unused(whose)
    if redis.call('HGET', whose, 'persist') == '1' then return false end
    return redis.call('ZCOUNT', whose .. ':sessions', text(now), '+inf') == 0
end

-- How long the keys stay if nobody is left to remove them; what persists stays.
local function keep(lease)
    for _, suffix in ipairs(SUFFIXES) do redis.call('PEXPIRE', base .. suffix, 3 * lease + 60000, 'GT') end
    local name = pointer()
    if redis.call('GET', name) == 'sharedkit ' .. LAYOUT .. ' ' .. string.sub(base, #name + 2) .. ' ' .. get('kind') then
        redis.call('PEXPIRE', name, 3 * lease + 60000, 'GT')
    end
end
