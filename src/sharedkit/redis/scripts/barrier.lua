-- Barrier. A party waits in :line until as many have come as the barrier has parties; then all pass, and their places in
-- the list are their numbers. If the last one has an action, it calls it first, and stays in the list meanwhile. Fields of
-- the hash:
--   n  how many parties must come
--   a  the session and operation of the party that calls the action now
--   b  the barrier is broken
-- and keys:
--   :line    the parties that have come (session, operation, whether it has an action)
--   :second  those that came while the action was being called
-- A grant is the number of a party; or `number a operation`, for one that must call the action; or `!`, if it broke.

function structure.begin() redis.call('HSET', base, 'n', ARGV[10]) end

local function party_of(entry) return (string.match(entry, '^%S+ %d+')) end

local function come() return redis.call('LLEN', line) end

local function parties() return tonumber(get('n')) end

-- Let all parties pass; the caller of this script knows that already.
local function pass(caller)
    local all = redis.call('LRANGE', line, 0, -1)
    redis.call('DEL', line)
    redis.call('HDEL', base, 'a')
    for i, entry in ipairs(all) do
        local party = party_of(entry)
        if party ~= caller then
            local sid, operation = string.match(party, '(%S+) (%S+)')
            grant(sid, operation, text(i - 1))
            tell(sid, operation, text(i - 1))
        end
    end
end

local function break_it()
    redis.call('HSET', base, 'b', '1')
    redis.call('HDEL', base, 'a')
    hand_to_all(line, '!', '!')
    hand_to_all(second, '!', '!')
end

-- Whether all parties are there. While one of them does not listen, it may be dead: a second later it is, and the barrier
-- breaks; or it listens again.
local function is_complete()
    if come() < parties() then return false end
    local sids = {}
    for _, entry in ipairs(redis.call('LRANGE', line, 0, -1)) do table.insert(sids, (string.match(entry, '^%S+'))) end
    for i, heard in ipairs(heard_by(sids)) do
        if heard == 0 or not alive(sids[i]) then
            shorten_lease(sids[i])
            return false
        end
    end
    return true
end

-- If all are there, let the last one call its action, or let all pass. Returns what the last one is granted.
local function complete(caller)
    if not is_complete() then return end
    local latest = redis.call('LINDEX', line, -1)
    local number = text(parties() - 1)
    if string.sub(latest, -1) == '0' then
        pass(caller)
        return number
    end
    local party = party_of(latest)
    local sid, operation = string.match(party, '(%S+) (%S+)')
    redis.call('HSET', base, 'a', party)
    local given = number .. ' a ' .. operation
    if party ~= caller then
        grant(sid, operation, given)
        tell(sid, operation, given)
    end
    return given
end

-- Let those in that came while an action was called.
function structure.serve()
    if get('b') then return end
    while not get('a') do
        if come() > 0 and complete() then
            if get('a') then return end
        else
            if come() >= parties() then return end
            local entry = redis.call('LPOP', second)
            if not entry then return end
            if alive(string.match(entry, '^%S+')) then
                if redis.call('RPUSH', line, entry) == 1 then born(line) end
            end
        end
    end
end

-- A party that has passed has passed. One that was to call the action, and will not, has not come.
function structure.back(given, sid, died)
    if died or #given == 0 then return end
    local what = type(given[1]) == 'table' and given[1][2] or given[1]
    local operation = string.match(what, ' a (%d+)$')
    if operation and get('a') == sid .. ' ' .. operation then
        redis.call('HDEL', base, 'a')
        redis.call('RPOP', line)
    end
end

function structure.lists() return {second} end

function structure.forget(sid)
    for _, entry in ipairs(redis.call('LRANGE', line, 0, -1)) do
        if begins(entry, sid .. ' ') then
            break_it()
            return
        end
    end
end

function structure.withdraw(entry, how)
    local parts = redis.call('LREM', line, 1, entry) + redis.call('LREM', second, 1, entry)
    if get('a') == party_of(entry) then redis.call('HDEL', base, 'a') end -- it will not call the action
    if parts > 0 and how == 'keep' then break_it() end
    return parts
end

function call.wait(acts, willing)
    local party = me .. ' ' .. ARGV[3]
    if get('a') or come() >= parties() then
        reap()
        structure.serve()
    end
    if get('b') then return {4} end
    if get('a') or come() >= parties() then
        if willing == '1' then
            wait_in(second, acts)
            return {0}
        end
        break_it()
        return {4}
    end
    wait_in(line, acts)
    local given = complete(party)
    if given then return {1, given} end
    if willing == '1' then return {0} end
    redis.call('LREM', line, 1, party .. ' ' .. acts)
    break_it()
    return {4}
end

-- The party has called its action: all pass, or the barrier breaks.
function call.acted(operation, fine)
    local party = me .. ' ' .. operation
    if get('a') ~= party then return redis.error_reply('SKBROKEN') end
    if fine == '1' then pass(party) else
        redis.call('RPOP', line)
        break_it()
    end
    structure.serve()
    return 1
end

function call.reset()
    redis.call('HDEL', base, 'a', 'b')
    hand_to_all(line, '!', '!')
    structure.serve()
    return 1
end

function call.abort()
    break_it()
    return 1
end

function reader.statistics()
    local owners = {}
    for _, entry in ipairs(redis.call('LRANGE', line, 0, -1)) do
        table.insert(owners, (string.match(entry, '^%S+')))
    end
    return {get('n'), get('b') and 'broken' or get('a') and 'acting' or 'filling', owners, living_sessions()}
end
