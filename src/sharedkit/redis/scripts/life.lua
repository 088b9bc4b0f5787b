-- The life of a structure: it is made, opened, kept, checked, left.

-- An error if the user of this connection may not run one of the commands on this structure: found before anything is
-- written. (A user who may run FCALL may still lack a command that the function runs.)
local function denied()
    local name = pointer()
    for command in string.gmatch(COMMANDS, '%S+') do
        local first, second = string.match(command, '^(%u+)|?(%u*)$')
        local allowed
        if second ~= '' then
            allowed = redis.acl_check_cmd(first, second)
        else
            local on = string.find(first, 'PUBLISH$') and channel(base, me) or name
            allowed = redis.acl_check_cmd(first, on, on)
        end
        if not allowed then return redis.error_reply('SKDENIED ' .. command) end
    end
end

-- What each key of a structure is, by what its name has after that of the structure.
local TYPES = {
    [''] = 'hash', [':sessions'] = 'zset', [':granted'] = 'hash', [':line'] = 'list',
    [':second'] = 'list', [':items'] = 'list', [':putters'] = 'list', [':pending'] = 'hash', [':data'] = 'string',
    [':order'] = 'zset', [':values'] = 'hash', [':firsts'] = 'hash', [':order0'] = 'zset', [':values0'] = 'hash',
    [':firsts0'] = 'hash', [':readers'] = 'hash', [':kept'] = 'zset', [':old'] = 'hash',
}

-- An error if another program has written to a key of the structure, or if another release has made it: found before
-- anything is written.
local function spoiled(whose)
    for _, suffix in ipairs(SUFFIXES) do
        local found = redis.call('TYPE', whose .. suffix).ok
        if found ~= 'none' and found ~= TYPES[suffix] then
            return redis.error_reply('SKTYPE ' .. found .. ' ' .. TYPES[suffix] .. ' ' .. whose .. suffix)
        end
    end
    local layout = redis.call('HGET', whose, 'layout')
    if layout and layout ~= LAYOUT then return redis.error_reply('SKLAYOUT ' .. layout) end
    if not layout and redis.call('EXISTS', whose) == 1 then return redis.error_reply('SKFOREIGN ' .. whose) end
end

-- Make the structure under its name; the answer is the incarnation that has the name. A second call answers the same.
function life.create(kind, spec, persist, lease)
    local lacks = denied()
    if lacks then return lacks end
    local pointer = pointer()
    local there = redis.pcall('GET', pointer)
    if type(there) == 'table' and there.err then return redis.error_reply('SKFOREIGN ' .. pointer) end
    local mine = string.sub(base, #pointer + 2)
    if there then
        local layout, other = string.match(there, '^sharedkit (%S+) (%S+) %S+$')
        if not layout then return redis.error_reply('SKFOREIGN ' .. pointer) end
        if layout ~= LAYOUT then return redis.error_reply('SKLAYOUT ' .. layout) end
        if other == mine then return there end
        local error = spoiled(pointer .. ':' .. other)
        if error then return error end
        if not is_unused(pointer .. ':' .. other) then return there end
        remove(pointer .. ':' .. other)
    end
    local error = spoiled(base)
    if error then return error end
    redis.call('SET', pointer, 'sharedkit ' .. LAYOUT .. ' ' .. mine .. ' ' .. kind)
    redis.call('HSET', base, 'kind', kind, 'spec', spec, 'persist', persist, 'layout', LAYOUT)
    prolong(me, now + lease)
    structure.begin()
    if persist ~= '1' then
        redis.call('HSET', base, 'lasts', span(lease))
        redis.call('PEXPIRE', pointer, span(lease))
        for _, suffix in ipairs(SUFFIXES) do redis.call('PEXPIRE', base .. suffix, span(lease)) end
    end
    return redis.call('GET', pointer)
end

-- Open the structure in one more session; by a ticket if its handle was on the way to a new process.
function life.open(lease, ticket)
    local lacks = denied()
    if lacks then return lacks end
    if redis.call('EXISTS', base) == 0 then return redis.error_reply('SKGONE') end
    local error = spoiled(base)
    if error then return error end
    reap()
    if is_unused(base) then
        remove(base)
        return redis.error_reply('SKGONE')
    end
    prolong(me, now + lease)
    if redis.call('ZCARD', sessions) == 1 then born(sessions) end
    last_for(lease)
    if ticket and ticket ~= '' then redis.call('ZREM', sessions, ticket) end
    structure.serve()
    return {get('spec'), get('persist')}
end

-- Keep the structure for a process that is being started, for a minute at most.
function life.ticket(ticket)
    redis.call('ZADD', sessions, now + 60000, ticket)
    return 1
end

-- Called several times a second as long as a thread or task of the session waits here. Answers in how many milliseconds
-- a session without a connection counts as dead; 0 if there is none.
function life.look()
    local ends = shorten()
    reap()
    structure.serve()
    return ends
end

-- Prolong the lease, unless it has ended: others may have taken over what the session held.
function life.beat(lease)
    prolong(me, now + lease)
    keep(lease)
    return life.look()
end

-- What the operation was granted, if the message that said so was lost; empty if nothing.
function life.check(operation)
    return redis.call('HGET', granted, me .. ' ' .. operation) or ''
end

-- End an operation whose caller has not used its answer. `keep`: if it was granted something by now, that is the
-- answer. `undo`: undo the operation; if it has not arrived yet, it will have no effect. Answers what was granted, and
-- how many parts of the operation were taken back from a wait.
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
    local parts = structure.withdraw(entry, how)
    if parts > 0 then
        structure.serve()
        return {0, '', parts}
    end
    if how == 'undo' then
        local answer, what = forestall(its_lane, operation)
        if what or (type(answer) == 'table' and answer[1] == 1) then
            structure.back({what or answer}, me, false)
            structure.serve()
        end
    end
    return {0, '', 0}
end

-- Leave the structure, when the session's last handle was closed; the ticket is for children forked meanwhile.
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

-- Free the name. A persistent structure then lives only as long as others do.
function life.unlink(lease)
    local pointer = pointer()
    local there = redis.call('GET', pointer)
    if there and pointer .. ':' .. string.match(there, '(%S+) %S+$') == base then redis.call('DEL', pointer) end
    redis.call('HSET', base, 'persist', '0', 'lasts', span(lease))
    for _, suffix in ipairs(SUFFIXES) do redis.call('PEXPIRE', base .. suffix, span(lease)) end
    return 1
end
