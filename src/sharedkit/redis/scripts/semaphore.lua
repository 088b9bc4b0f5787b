-- Semaphore and BoundedSemaphore. Fields of the hash:
--   v  the permits that are free      bound  how many there are at most; absent: permits have no owner
--   p:session  of a bounded one: how many permits that session holds

local MOST = 2147483647

function structure.begin()
    redis.call('HSET', base, 'v', ARGV[10])
    if ARGV[11] == '1' then redis.call('HSET', base, 'bound', ARGV[10]) end
end

local function free_permits() return tonumber(get('v')) end

local function owns(sid, n)
    if get('bound') and redis.call('HINCRBY', base, 'p:' .. sid, n) <= 0 then redis.call('HDEL', base, 'p:' .. sid) end
end

function structure.serve()
    local free = free_permits()
    while free > 0 do
        local sid = hand(line, '1', '1')
        if not sid then break end
        free = redis.call('HINCRBY', base, 'v', -1)
        owns(sid, 1)
    end
end

-- Take back permits whose grant was not acknowledged. A dead session of a bounded one holds them: `forget` frees them.
function structure.back(given, sid, died)
    if #given == 0 or (died and get('bound')) then return end
    redis.call('HINCRBY', base, 'v', #given)
    owns(sid, -#given)
end

function structure.forget(sid)
    local held = get('p:' .. sid)
    if held then
        redis.call('HINCRBY', base, 'v', held)
        redis.call('HDEL', base, 'p:' .. sid)
    end
end

function call.acquire(willing)
    if free_permits() == 0 then
        reap()
        structure.serve()
    end
    if free_permits() > 0 then
        redis.call('HINCRBY', base, 'v', -1)
        owns(me, 1)
        return {1}
    end
    if willing ~= '1' then return {3} end
    wait_in(line)
    return {0}
end

-- Remove n permits from their holders: any session may release. Its own permits go first.
local function disown(n)
    local mine = math.min(n, tonumber(get('p:' .. me) or '0'))
    if mine > 0 then owns(me, -mine) end
    n = n - mine
    local all = n > 0 and fields_with('p:') or {}
    for i = 1, #all, 2 do
        if n > 0 and all[i] ~= 'p:' .. me then
            local some = math.min(n, tonumber(all[i + 1]))
            owns(string.sub(all[i], 3), -some)
            n = n - some
        end
    end
end

function call.release(count)
    local n, bound = tonumber(count), get('bound')
    if bound and free_permits() + n > tonumber(bound) then return redis.error_reply('SKTOOMANY') end
    if free_permits() + n > MOST then return redis.error_reply('SKOVERFLOW') end
    if bound then disown(n) end
    redis.call('HINCRBY', base, 'v', n)
    structure.serve()
    return 1
end

function reader.statistics()
    return {get('v'), get('bound') or '', fields_with('p:'), redis.call('LLEN', line), living_sessions()}
end
