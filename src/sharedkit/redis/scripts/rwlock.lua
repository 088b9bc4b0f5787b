-- RWLock. A waiting writer goes before a reader that comes later. When a writer ends, the readers that wait at that time
-- go before the next writer. So one writer at most overtakes a waiting reader. Fields of the hash:
--   w  the session that writes                        s  since when (ms)
--   n  how many threads and tasks read                r:session  how many of them belong to that session
--   x  a writer died, and no later writer has released the lock since
-- and keys:
--   :line  the waits to read                          :second  the waits to write
-- A grant is `x`, or 0, and `r` or `w`.

local readers_first -- a writer has ended in this call

function structure.begin_call() readers_first = false end

local function owner_died() return get('x') or '0' end

local function reads(sid, n)
    redis.call('HINCRBY', base, 'n', n)
    if redis.call('HINCRBY', base, 'r:' .. sid, n) <= 0 then redis.call('HDEL', base, 'r:' .. sid) end
end

local function writes(sid) redis.call('HSET', base, 'w', sid, 's', text(now)) end

local function write_ends()
    redis.call('HDEL', base, 'w', 's')
    readers_first = true
end

local function is_read() return tonumber(get('n') or '0') > 0 end

local function serve_readers()
    local answer = owner_died()
    while true do
        local sid = hand(line, answer, answer .. ' r')
        if not sid then return end
        reads(sid, 1)
    end
end

-- A writer that does not listen keeps its place, but no reader out: after a second it is dead or has gone on.
function structure.serve()
    if get('w') then return end
    if readers_first or redis.call('LLEN', second) == 0 then serve_readers() end
    if is_read() or redis.call('LLEN', second) == 0 then return end
    local answer = owner_died()
    local sid = hand(second, answer, answer .. ' w')
    if sid then writes(sid) else serve_readers() end
end

-- Take back a side whose grant was not acknowledged. If the session has died, `forget` does it.
function structure.back(given, sid, is_dead)
    if is_dead or #given == 0 then return end
    local side = type(given[1]) == 'table' and given[1][3] or string.sub(given[1], -1)
    if side == 'w' and get('w') == sid then write_ends() end
    if side == 'r' and get('r:' .. sid) then reads(sid, -1) end
end

function structure.forget(sid, is_dead)
    local held = get('r:' .. sid)
    if held then reads(sid, -tonumber(held)) end
    if get('w') ~= sid then return end
    write_ends()
    if is_dead then redis.call('HSET', base, 'x', '1') end
end

local function may_read() return not get('w') and redis.call('LLEN', second) == 0 end

local function may_write() return not get('w') and not is_read() end

local function acquire(side, may, take, list, willing)
    if not may() then
        reap()
        structure.serve()
    end
    if may() then
        take(me, 1)
        return {1, owner_died(), side}
    end
    if willing ~= '1' then return {3} end
    wait_in(list)
    return {0}
end

function call.acquire_read(willing) return acquire('r', may_read, reads, line, willing) end

function call.acquire_write(willing) return acquire('w', may_write, writes, second, willing) end

function call.release_read()
    if not get('r:' .. me) then return redis.error_reply('SKNOTLOCKED') end
    reads(me, -1)
    if not is_read() then structure.serve() end
    return 1
end

function call.release_write()
    if get('w') ~= me then return redis.error_reply('SKNOTLOCKED') end
    redis.call('HDEL', base, 'x')
    write_ends()
    structure.serve()
    return 1
end

function reader.statistics()
    return {get('w') or '', get('s') or '', fields_with('r:'), redis.call('LLEN', line),
            redis.call('LLEN', second), get('x') or '0', living_sessions()}
end
