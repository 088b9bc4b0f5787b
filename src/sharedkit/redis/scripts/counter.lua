-- Counter and Counters: fields `v` of the hash, or `v:name` of a group. Values are text, exact to 64 bits.

function structure.begin()
    for i = 10, #ARGV, 2 do redis.call('HSET', base, ARGV[i], ARGV[i + 1]) end
end

function structure.fields() return ARGV[6] or 'v' end

local UNKNOWN = 'SKUNKNOWN'
local EXACT = 4503599627370496 -- numbers of Lua up to twice this one are exact

function call.add(field, n)
    local there = state[3]
    if not there then return redis.error_reply(UNKNOWN) end
    local one, other = tonumber(there), tonumber(n)
    if one <= EXACT and one >= -EXACT and other <= EXACT and other >= -EXACT then
        local sum = text(one + other)
        return sum, nil, field, sum
    end
    local added = redis.pcall('HINCRBY', base, field, n)
    if type(added) == 'table' then
        return string.find(added.err, 'overflow') and redis.error_reply('SKOVERFLOW') or added
    end
    return get(field)
end

function call.exchange(field, value)
    local there = state[3]
    if not there then return redis.error_reply(UNKNOWN) end
    return there, nil, field, value
end

function call.compare_exchange(field, expected, desired)
    local there = state[3]
    if not there then return redis.error_reply(UNKNOWN) end
    if there ~= expected then return 0 end
    return 1, nil, field, desired
end

function reader.load() return state[3] or redis.error_reply(UNKNOWN) end

function reader.values() return fields_with('v') end

function reader.statistics() return {fields_with('v'), living_sessions()} end
