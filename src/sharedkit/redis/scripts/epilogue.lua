-- The last part of every function library: it runs the method. The library has it under two names. A server that is out
-- of memory refuses the first before it begins, so nothing is half written. It still runs the second, which is for
-- methods that only read, or that free memory.

local ANYBODY = {create = true, open = true, leave = true, claim = true, start = true, exists = true, enter = true}

local function run(keys, args)
    begin_call(keys, args)
    structure.begin_call()
    local a, b, c, d = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
    for operation in string.gmatch(ARGV[4], '%d+') do redis.call('HDEL', granted, me .. ' ' .. operation) end
    if ANYBODY[method] then return life[method](a, b, c, d) end
    local ends = redis.call('ZSCORE', sessions, me)
    if not ends or tonumber(ends) < now then
        return redis.error_reply(redis.call('EXISTS', base) == 1 and 'SKFENCED' or 'SKGONE')
    end
    if reader[method] then return reader[method](a, b, c, d) end
    if life[method] then return life[method](a, b, c, d) end
    local field = me .. ' ' .. lane
    local found = redis.call('HGET', last, field)
    if found then
        local seen, answer = cmsgpack.unpack(found)
        if seen == op then return structure.again(answer) end
        if seen > op then return redis.error_reply('SKLATE') end
    end
    local answer, remembered = call[method](a, b, c, d)
    if type(answer) == 'table' and answer.err then return answer end
    if redis.call('HSET', last, field, cmsgpack.pack(op, remembered or answer)) == 1 then born(last) end
    return answer
end

redis.register_function(NAME, run)
redis.register_function{function_name = NAME .. '_shrinks', callback = run, flags = {'allow-oom'}}
