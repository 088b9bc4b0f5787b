-- The record of an executor's calls. Fields of the hash:
--   start        what a worker needs before its first call, as the executor has pickled it
--   c:<number>   one for each call that is not over:
--                o                          announced: no worker has begun it
--                x                          retracted: no worker will begin it
--                r <attempt> <pid> <place>  begun, by that attempt of the engine; <place> is the address of its worker
--   h:<address>  one for each worker that has entered
-- An attempt asks for the call before it begins it, and only one gets it. Workers ask without having the record open, so
-- they keep it no longer than the executor does. Each method may run again: a repeated question has the same answer.

function structure.begin() redis.call('HSET', base, 'start', ARGV[10]) end

local function state_of(number) return get('c:' .. number) end

-- Forget the calls that are over, then add new ones; one that was retracted before stays retracted.
function life.announce(over, new)
    for number in string.gmatch(over, '%d+') do redis.call('HDEL', base, 'c:' .. number) end
    for number in string.gmatch(new, '%d+') do redis.call('HSETNX', base, 'c:' .. number, 'o') end
    return 1
end

-- Retract the calls that no worker has begun; answers the others.
function life.retract(numbers)
    local begun = {}
    for number in string.gmatch(numbers, '%d+') do
        local state = state_of(number)
        if not state or state == 'o' then
            redis.call('HSET', base, 'c:' .. number, 'x')
        elseif state ~= 'x' then
            table.insert(begun, number)
        end
    end
    return begun
end

-- The calls among these that a worker has begun, each followed by whose attempt it was.
function life.owners(numbers)
    local found = {}
    for number in string.gmatch(numbers, '%d+') do
        local other = string.match(state_of(number) or '', '^r %S+ (.*)$')
        if other then
            table.insert(found, number)
            table.insert(found, other)
        end
    end
    return found
end

-- For a worker: may this attempt begin the call? Answers 1 yes; 0 it is over or retracted; 2 another attempt has begun
-- it, and whose; -1 the executor is gone.
function life.claim(number, attempt, whose)
    if is_unused(base) then return {-1, ''} end
    local state = state_of(number)
    if state == 'o' then
        redis.call('HSET', base, 'c:' .. number, 'r ' .. attempt .. ' ' .. whose)
        return {1, ''}
    end
    if not state or state == 'x' then return {0, ''} end
    local its, other = string.match(state, '^r (%S+) (.*)$')
    return {its == attempt and 1 or 2, other}
end

-- For a worker: the executor shall know it by that address.
function life.enter(address)
    if is_unused(base) then return 0 end
    redis.call('HSET', base, 'h:' .. address, '1')
    return 1
end

-- The addresses of the workers.
function life.hosts()
    local found = {}
    for _, field in ipairs(redis.call('HKEYS', base)) do
        if begins(field, 'h:') then table.insert(found, string.sub(field, 3)) end
    end
    return found
end

-- For a worker: what it needs before the first call; empty if the executor is gone.
function life.start()
    if is_unused(base) then return '' end
    return get('start')
end

-- For a worker: whether the executor still exists; if not, the record goes.
function life.exists()
    if not is_unused(base) then return 1 end
    remove(base)
    return 0
end
