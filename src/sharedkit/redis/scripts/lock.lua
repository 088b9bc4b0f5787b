-- Lock and RLock. Fields of the hash:
--   h  the session that holds it; absent: free        w  which of its threads or tasks, for an RLock
--   d  how often that thread or task has taken it     s  since when (ms)
--   f  the fence of the last holder                   x  a holder died, and no later holder has released the lock since
--   raise  whether a death is an error until `mark_consistent`     re  whether the holder may take the lock again

local FREE = {'h', 'w', 'd', 's'}

function structure.begin()
    redis.call('HSET', base, 'raise', ARGV[10], 're', ARGV[11])
end

local function next_fence(last_one) return text(math.max(tonumber(last_one or '0') + 1, micros)) end

local function refuses() return get('x') == '1' and get('raise') == '1' end

-- Nearly all calls need nearly all fields, which one command reads faster than six.
local function all_fields() return unpack(redis.call('HMGET', base, 'h', 'w', 'd', 'f', 'x', 'raise', 're')) end

local function hold(sid, who, fence)
    redis.call('HSET', base, 'h', sid, 'w', who, 'd', 1, 's', text(now), 'f', fence)
end

function structure.serve()
    if get('h') then return end
    if refuses() then
        hand_to_all(line, 'refused', 'refused')
        return
    end
    local fence = next_fence(get('f'))
    local answer = (get('x') or '0') .. ' ' .. fence
    local sid, _, who = hand(line, answer, answer)
    if sid then hold(sid, who, fence) end
end

local function free() redis.call('HDEL', base, unpack(FREE)) end

-- Take back a lock whose grant was not acknowledged, or whose acquire was undone. For a dead session `forget` does it,
-- because that session may have got the lock and died before it acknowledged it.
function structure.back(given, sid, died)
    if died or #given == 0 or given[1] == 'refused' or get('h') ~= sid then return end
    if tonumber(get('d')) > 1 then redis.call('HINCRBY', base, 'd', -1) else free() end
end

function structure.forget(sid, died)
    if get('h') ~= sid then return end
    free()
    if died then redis.call('HSET', base, 'x', '1') end
end

function call.acquire(who, willing)
    local holder, its, _, fence, died, raises, re = all_fields()
    if holder and holder ~= me and not alive(holder) then
        reap()
        structure.serve()
        holder, its, _, fence, died, raises, re = all_fields()
    end
    if not holder then
        if died == '1' and raises == '1' then return redis.error_reply('SKOWNERDIED') end
        fence = next_fence(fence)
        hold(me, who, fence)
        return {1, died or '0', fence}
    end
    if re == '1' and holder == me and its == who then
        redis.call('HINCRBY', base, 'd', 1)
        return {1, '0', fence}
    end
    if willing ~= '1' then return {3} end
    wait_in(line, who)
    return {0}
end

function call.release(who)
    local holder, its, depth, _, _, _, re = all_fields()
    if not holder then return redis.error_reply('SKNOTLOCKED') end
    if re == '1' and (holder ~= me or its ~= who) then return redis.error_reply('SKNOTLOCKED') end
    if tonumber(depth) > 1 then return redis.call('HINCRBY', base, 'd', -1) end
    redis.call('HDEL', base, 'x', unpack(FREE))
    if redis.call('LLEN', line) > 0 then structure.serve() end
    return 0
end

function call.mark_consistent()
    redis.call('HDEL', base, 'x')
    structure.serve()
    return 1
end

function reader.statistics()
    local holder = get('h')
    return {holder or '', get('w') or '', get('d') or '0', get('s') or '', get('x') or '0', get('f') or '0',
            redis.call('LLEN', line), living_sessions()}
end

function reader.holder() return {get('h') or '', living_sessions()} end
