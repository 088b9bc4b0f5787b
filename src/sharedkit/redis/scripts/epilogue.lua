-- The last part of every function library: it runs the method. The library has it under two names. A server that is out
-- of memory refuses the first before it begins, so nothing is half written. It still runs the second, which is for
-- methods that only read, or that free memory.

local ANYBODY = {create = true, open = true, leave = true, claim = true, start = true, exists = true, enter = true}

-- The operation has been used by its caller. What an operation has taken, a later one of its lane may have replaced.
local function acknowledge(operation, its_lane)
    if its_lane == '' then
        redis.call('HDEL', granted, me .. ' ' .. operation)
        return
    end
    local whose = me .. ' ' .. its_lane
    local found = get('l ' .. whose)
    if found and read_record(found) == tonumber(operation) then redis.call('HSET', base, 't ' .. whose, '') end
end

-- Record the operation, and write the further fields that follow its answer, by one command. `form`: that of
-- the answer in the record, if it is known or another. An error changes nothing, so it may come again.
local function finish(had_taken, answer, form, ...)
    if not form and type(answer) == 'table' and answer.err then return answer end
    local field, said = 'l ' .. me .. ' ' .. lane, record(op, taken ~= nil, form or form_of(answer))
    if taken or had_taken then
        redis.call('HSET', base, field, said, 't ' .. me .. ' ' .. lane, taken or '', ...)
    else
        redis.call('HSET', base, field, said, ...)
    end
    return answer
end

local function run(keys, args)
    begin_call(keys, args)
    local a, b, c, d = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
    if ARGV[4] ~= '' then
        for operation, its_lane in string.gmatch(ARGV[4], '(%d+):?(%d*)') do acknowledge(operation, its_lane) end
    end
    if ANYBODY[method] then return life[method](a, b, c, d) end
    state = redis.call('HMGET', base, 'e ' .. me, 'l ' .. me .. ' ' .. lane, structure.fields())
    local ends, found = state[1], state[2]
    if not ends or tonumber(ends) < now then
        return redis.error_reply(redis.call('EXISTS', base) == 1 and 'SKFENCED' or 'SKGONE')
    end
    if reader[method] then return reader[method](a, b, c, d) end
    if life[method] then return life[method](a, b, c, d) end
    local takes = false
    if found then
        local seen
        seen, takes = read_record(found)
        if seen == op then return structure.again(answer_in(found)) end
        if seen > op then return redis.error_reply('SKLATE') end
    end
    return finish(takes, call[method](a, b, c, d))
end

redis.register_function(NAME, run)
redis.register_function{function_name = NAME .. '_shrinks', callback = run, flags = {'allow-oom'}}
