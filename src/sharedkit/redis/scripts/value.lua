-- Value and RawValue, with lock.lua. Field of the hash:
--   c  the value, as the client writes it

function structure.begin() redis.call('HSET', base, 'h', '', 'c', ARGV[10], 'raise', '0', 're', '1') end

-- Whether this caller may read and write now: nobody else holds the lock.
local function may(who)
    return state[3] == '' or (state[3] == me and state[4] == who)
end

function reader.load(who) return may(who) and get('c') end

function call.store(value, who)
    if not may(who) then return 0 end
    return 1, nil, 'c', value
end
