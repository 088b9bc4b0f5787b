-- The life of a structure: made, opened, kept, looked after, left. Only the scripts for these methods have this part: a
-- script makes all its functions anew each time it runs, which would cost the other calls a third of their time.

-- Make the structure under its name; answers the incarnation that has the name. Asked again, it answers the same.
function life.create(kind, spec, persist, lease)
    local pointer = pointer()
    local there = redis.pcall('GET', pointer)
    if type(there) == 'table' and there.err then return redis.error_reply('SKFOREIGN ' .. pointer) end
    local mine = string.sub(base, #pointer + 2)
    if there then
        local layout, other = string.match(there, '^sharedkit (%S+) (%S+) %S+$')
        if not layout then return redis.error_reply('SKFOREIGN ' .. pointer) end
        if layout ~= LAYOUT then return redis.error_reply('SKLAYOUT ' .. layout) end
        if other == mine then return there end
        if not is_unused(pointer .. ':' .. other) then return there end
        remove(pointer .. ':' .. other)
    end
    local ends = 3 * lease + 60000
    redis.call('SET', pointer, 'sharedkit ' .. LAYOUT .. ' ' .. mine .. ' ' .. kind)
    redis.call('HSET', base, 'kind', kind, 'spec', spec, 'persist', persist)
    redis.call('ZADD', sessions, now + lease, me)
    structure.begin()
    if persist ~= '1' then
        redis.call('PEXPIRE', pointer, ends)
        for _, suffix in ipairs(SUFFIXES) do redis.call('PEXPIRE', base .. suffix, ends) end
    end
    return redis.call('GET', pointer)
end

-- Open it in one more session, by a ticket if its handle was on its way to a new process.
function life.open(lease, ticket)
    if redis.call('EXISTS', base) == 0 then return redis.error_reply('SKGONE') end
    reap()
    if is_unused(base) then
        remove(base)
        return redis.error_reply('SKGONE')
    end
    local fresh = redis.call('ZADD', sessions, now + lease, me) == 1
    if fresh and redis.call('ZCARD', sessions) == 1 then born(sessions) end
    if ticket and ticket ~= '' then redis.call('ZREM', sessions, ticket) end
    structure.serve()
    return {get('spec'), get('persist')}
end

-- Keep it for a process that is being started, for a minute at most.
function life.ticket(ticket)
    redis.call('ZADD', sessions, now + 60000, ticket)
    return 1
end

-- Once a second, as long as somebody of the session waits here.
function life.look()
    shorten()
    reap()
    structure.serve()
    return 1
end

-- A lease that has ended is not prolonged: others may have taken over what it was about.
function life.beat(lease)
    redis.call('ZADD', sessions, 'XX', now + lease, me)
    keep(lease)
    return life.look()
end

-- What the operation was handed, should the word of it have been lost; empty if nothing.
function life.check(operation)
    return redis.call('HGET', granted, me .. ' ' .. operation) or ''
end

-- The operation ends without its answer having been used. `keep`: what was handed over by now is its answer. `undo`: it
-- has not happened; should it be on its way still, it will not happen. Answers what it was handed, and how many parts
-- of it were taken back from a line.
function life.cancel(its_lane, operation, how, entry)
    local field = me .. ' ' .. operation
    local given = redis.call('HGET', granted, field)
    if given then
        if how == 'keep' then return {1, given} end
        redis.call('HDEL', granted, field)
        structure.back({given}, me, false)
        structure.serve()
        return {0, ''}
    end
    local parts = structure.withdraw(entry)
    if parts > 0 then
        structure.serve()
        return {0, '', parts}
    end
    local found = redis.call('HGET', last, me .. ' ' .. its_lane)
    local seen, answer = 0, nil
    if found then seen, answer = cmsgpack.unpack(found) end
    if how == 'undo' and seen <= tonumber(operation) then
        if seen == tonumber(operation) and type(answer) == 'table' and answer[1] == 1 then
            structure.back({answer}, me, false)
            structure.serve()
        end
        redis.call('HSET', last, me .. ' ' .. its_lane, cmsgpack.pack(tonumber(operation), {-2}))
    end
    return {0, '', 0}
end

-- The last handle of a session was closed; the ticket is for the children that it has forked meanwhile.
function life.leave(ticket)
    if ticket ~= '' then life.ticket(ticket) end
    if redis.call('ZSCORE', sessions, me) then
        drop(me, false)
        structure.serve()
    end
    reap()
    if is_unused(base) then remove(base) else structure.serve() end
    return 1
end

-- Free the name. Whatever persisted lives on as others do.
function life.unlink(lease)
    local pointer = pointer()
    local there = redis.call('GET', pointer)
    if there and pointer .. ':' .. string.match(there, '(%S+) %S+$') == base then redis.call('DEL', pointer) end
    redis.call('HSET', base, 'persist', '0')
    for _, suffix in ipairs(SUFFIXES) do redis.call('PEXPIRE', base .. suffix, 3 * lease + 60000) end
    return 1
end
