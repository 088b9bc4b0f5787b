-- Condition: the methods that work on its lock; `lock.lua` has the keys. If a condition has a lock of its own, it is that
-- lock, and its keys are the lock's.

local function waiter(condition, depth, who)
    return '@' .. condition .. ' 0 ' .. depth .. (who == '' and '' or ' ' .. who)
end

-- Whether the caller holds the lock; a Lock is held by whoever calls. Also returns how often the lock is held.
local function owned(who)
    local _, _, has_it, its, depth, _, _, _, re = unpack(state)
    return has_it ~= '' and (re ~= '1' or (has_it == me and its == who)), depth
end

-- Release the lock and wait. A wait whose time is over at once only lets the others go first.
function call.wait(condition, who, willing)
    local holds, depth = owned(who)
    if not holds then return redis.error_reply('SKNOTLOCKED') end
    redis.call('HDEL', base, 'x')
    free()
    wait_in(willing == '1' and second or line, waiter(condition, depth, who))
    structure.serve()
    return {0}, WAITS, 'waits', '1'
end

-- Take the lock as often as it was held before, even if its holder has died.
function call.restore(depth, who)
    reap()
    structure.serve()
    if holder() == '' then
        local fence = next_fence(get('f'))
        hold(me, who, fence, depth)
        return {1, get('x') or '0', fence, depth}
    end
    wait_in(line, waiter('-', depth, who))
    return {0}, WAITS, 'waits', '1'
end

function call.notify(condition, who, n)
    if not owned(who) then return redis.error_reply('SKNOTLOCKED') end
    notify(condition, tonumber(n))
    return 1
end

-- The time of a wait is over: unless it was notified, it now waits for the lock without a notification. Answers what it
-- was granted, or an empty text.
function life.over(operation)
    local entry = find(second, me .. ' ' .. operation .. ' @')
    if entry then
        rouse(entry, '0')
        structure.serve()
    end
    return life.check(operation)
end

-- The caller has left a wait: it only wants the lock again, and a notification goes to the next wait. Answers whether
-- there is such a wait, and what it was granted. If the operation has not arrived yet, it will have no effect.
function life.rejoin(its_lane, operation)
    local with, field = me .. ' ' .. operation .. ' @', me .. ' ' .. operation
    local given = life.over(operation)
    if given ~= '' then
        local condition = string.match(given, TOLD)
        if condition then
            given = string.gsub(given, ' 1 (%d+ @%S+)$', ' 0 %1')
            redis.call('HSET', granted, field, given)
            notify(condition, 1)
        end
        return {1, given}
    end
    local entry, index = find(line, with)
    if not entry then
        forestall(its_lane, operation)
        return {0, ''}
    end
    local condition = string.match(entry, '@(%S+) 1 ')
    if condition then
        redis.call('LSET', line, index, (string.gsub(entry, '(@%S+) 1 ', '%1 0 ')))
        notify(condition, 1)
    end
    return {1, ''}
end

-- How many wait for a notification, and how many have one and wait for the lock.
function reader.waiting(condition)
    local counts = {0, 0}
    for i, list in ipairs({second, line}) do
        for _, entry in ipairs(redis.call('LRANGE', list, 0, -1)) do
            local its, told = string.match(entry, '@(%S+) (%d)')
            if its == condition and told == (i == 1 and '0' or '1') then counts[i] = counts[i] + 1 end
        end
    end
    return counts
end

function reader.is_owned(who) return owned(who) and 1 or 0 end
