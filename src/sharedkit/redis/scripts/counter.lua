-- Counter and Counters: fields `v` of the hash, or `v:name` of a group. Values are text, exact to 64 bits.

function structure.begin()
    for i = 10, #ARGV, 2 do redis.call('HSET', base, ARGV[i], ARGV[i + 1]) end
end

local UNKNOWN = 'SKUNKNOWN'

function call.add(field, n)
    if redis.call('HEXISTS', base, field) == 0 then return redis.error_reply(UNKNOWN) end
    local added = redis.pcall('HINCRBY', base, field, n)
    if type(added) == 'table' then
        return string.find(added.err, 'overflow') and redis.error_reply('SKOVERFLOW') or added
    end
    return get(field)
end

function call.exchange(field, value)
    local old = get(field)
    if not old then return redis.error_reply(UNKNOWN) end
    redis.call('HSET', base, field, value)
    return old
end

function call.compare_exchange(field, expected, desired)
    local there = get(field)
    if not there then return redis.error_reply(UNKNOWN) end
    if there ~= expected then return 0 end
    redis.call('HSET', base, field, desired)
    return 1
end

function reader.load(field) return get(field) or redis.error_reply(UNKNOWN) end

function reader.values() return redis.call('HGETALL', base) end

function reader.statistics() return {redis.call('HGETALL', base), living_sessions()} end
