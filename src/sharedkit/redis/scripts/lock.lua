-- Lock and RLock, and the waits of the conditions over them: so one script moves a wait from a condition to its lock.
-- Fields of the hash:
--   h  the session that holds it; empty: free         w  which of its threads or tasks, for an RLock
--   d  how often that thread or task has taken it     s  since when (ms)
--   f  the fence of the last holder                   x  a holder died, and no later holder has released the lock since
--   raise  whether a death is an error until `mark_consistent`     re  whether the holder may take the lock again
-- and keys:
--   :second  the waits for a notification
--   :line    the waits for the lock: those to acquire it (session, operation, who), and those that come from a condition
-- A wait for a condition is `session operation @condition told depth who`; told is 1 if a notification has ended it, and
-- depth is how often the lock was held before. For a Lock, who is left out. Such a wait is granted `died fence told
-- depth @condition`, any other one `died fence`.

local WAITER = '^@(%S+) (%d) (%d+) ?(.*)$' -- condition, told, depth, who
local TOLD = ' 1 %d+ @(%S+)$' -- in a grant: the condition by which the wait was notified

function structure.begin()
    redis.call('HSET', base, 'h', '', 'raise', ARGV[10], 're', ARGV[11])
end

function structure.fields() return 'h', 'w', 'd', 'f', 'x', 'raise', 're', 'waits' end

local function next_fence(last_one) return text(math.max(tonumber(last_one or '0') + 1, micros)) end

-- Whether a death is an error now. `died` is the field x.
local function refuses(died) return died == '1' and get('raise') == '1' end

local function holder() return get('h') or '' end

local function hold(sid, who, fence, depth)
    redis.call('HSET', base, 'h', sid, 'w', who, 'd', depth, 's', text(now), 'f', fence)
end

-- Refuse the waits to acquire the lock. Those that come from a condition stay: they end with the lock in any case.
local function refuse_all()
    local coming = {}
    for _, entry in ipairs(redis.call('LRANGE', line, 0, -1)) do
        if string.find(entry, '@', 1, true) then table.insert(coming, entry) end
    end
    for _, entry in ipairs(coming) do redis.call('LREM', line, 1, entry) end
    hand_to_all(line, 'refused', 'refused')
    for _, entry in ipairs(coming) do redis.call('RPUSH', line, entry) end
    if #coming > 0 then born(line) end
end

function structure.serve()
    if holder() ~= '' then return end
    if refuses(get('x')) then refuse_all() end
    local fence = next_fence(get('f'))
    local answer = (get('x') or '0') .. ' ' .. fence
    local function said(rest)
        local condition, told, depth = string.match(rest, WAITER)
        return condition and answer .. ' ' .. told .. ' ' .. depth .. ' @' .. condition or answer
    end
    local sid, _, rest = hand(line, said)
    if sid then
        local _, _, depth, who = string.match(rest, WAITER)
        hold(sid, who or rest, fence, depth or 1)
    end
end

local function free() redis.call('HSET', base, 'h', '') end

-- End the wait for a condition: now it waits for the lock.
local function rouse(entry, told)
    redis.call('LREM', second, 1, entry)
    if redis.call('RPUSH', line, (string.gsub(entry, '^(%S+ %d+ @%S+) 0', '%1 ' .. told))) == 1 then born(line) end
end

-- Notify the first n waits for a condition. Those whose sessions do not listen come last: they may be dead.
local function notify(condition, n)
    local silent, listens = {}, {}
    for _, entry in ipairs(redis.call('LRANGE', second, 0, -1)) do
        if n <= 0 then return end
        local sid, its = string.match(entry, '^(%S+) %d+ @(%S+)')
        if its == condition and alive(sid) then
            if listens[sid] == nil then listens[sid] = heard_by({sid})[1] > 0 end
            if listens[sid] then
                rouse(entry, '1')
                n = n - 1
            else
                table.insert(silent, entry)
            end
        end
    end
    for i = 1, math.min(n, #silent) do rouse(silent[i], '1') end
end

-- Take back a lock whose grant was not acknowledged, or whose acquire was undone, and pass its notification on. If the
-- session has died, `forget` frees the lock, because the session may have got it and died before it acknowledged it.
function structure.back(given, sid, died)
    local own = not died and given[1] ~= 'refused' and #given > 0 and holder() == sid
    if own and type(given[1]) == 'string' and string.find(given[1], '@', 1, true) then
        free()
    elseif own then
        local depth = type(given[1]) == 'table' and given[1][4] or 1
        if redis.call('HINCRBY', base, 'd', -depth) <= 0 then free() end
    end
    for _, each in ipairs(given) do
        local condition = type(each) == 'string' and string.match(each, TOLD)
        if condition then notify(condition, 1) end
    end
end

function structure.lists() return {second} end

function structure.forget(sid, died)
    local told = {}
    for _, entry in ipairs(redis.call('LRANGE', line, 0, -1)) do
        if begins(entry, sid .. ' ') then
            redis.call('LREM', line, 1, entry)
            table.insert(told, string.match(entry, '@(%S+) 1 '))
        end
    end
    if holder() == sid then
        free()
        if died then redis.call('HSET', base, 'x', '1') end
    end
    for _, condition in ipairs(told) do notify(condition, 1) end
end

-- The entry of a wait for a condition, and its index; `with` is how it begins.
local function find(list, with)
    for i, entry in ipairs(redis.call('LRANGE', list, 0, -1)) do
        if begins(entry, with) then return entry, i - 1 end
    end
end

function structure.withdraw(entry)
    if redis.call('LREM', line, 1, entry) > 0 then return 1 end
    local there = find(second, entry .. ' @')
    if there then return redis.call('LREM', second, 1, there) end
    there = find(line, entry .. ' @')
    if not there then return 0 end
    redis.call('LREM', line, 1, there)
    local condition = string.match(there, '@(%S+) 1 ')
    if condition then notify(condition, 1) end
    return 1
end

function call.acquire(who, willing)
    local _, _, has_it, its, _, fence, died, _, re = unpack(state)
    if has_it ~= '' and has_it ~= me and not alive(has_it) then
        reap()
        structure.serve()
        has_it, its, fence, died = unpack(redis.call('HMGET', base, 'h', 'w', 'f', 'x'))
    end
    if has_it == '' then
        if refuses(died) then return redis.error_reply('SKOWNERDIED') end
        fence = next_fence(fence)
        died = died or '0'
        return {1, died, fence}, 'w' .. died .. ' ' .. fence, 'h', me, 'w', who, 'd', 1, 's', now, 'f', fence
    end
    if re == '1' and has_it == me and its == who then
        redis.call('HINCRBY', base, 'd', 1)
        return {1, '0', fence}
    end
    if willing ~= '1' then return {3} end
    wait_in(line, who)
    return {0}, WAITS, 'waits', '1'
end

function call.release(who)
    local _, _, has_it, its, depth, _, died, _, re, waits = unpack(state)
    if has_it == '' then return redis.error_reply('SKNOTLOCKED') end
    if re == '1' and (has_it ~= me or its ~= who) then return redis.error_reply('SKNOTLOCKED') end
    if tonumber(depth) > 1 then return redis.call('HINCRBY', base, 'd', -1) end
    if died then redis.call('HDEL', base, 'x') end
    if waits ~= '1' then return 0, nil, 'h', '' end
    free()
    if redis.call('LLEN', line) > 0 then structure.serve() else look_for_waits(second) end
    return 0
end

function call.mark_consistent()
    redis.call('HDEL', base, 'x')
    structure.serve()
    return 1
end

function reader.statistics()
    local held = holder() ~= ''
    return {holder(), held and get('w') or '', held and get('d') or '0', held and get('s') or '', get('x') or '0',
            get('f') or '0', redis.call('LLEN', line), living_sessions()}
end

function reader.holder() return {holder(), living_sessions()} end
