-- Value and RawValue, with lock.lua. Field of the hash:
--   c  the value, as the client writes it

function structure.begin() redis.call('HSET', base, 'c', ARGV[10], 'raise', '0', 're', '1') end

-- Whether this caller may read and write now: nobody else holds the lock.
local function may(who)
    local holder, its = unpack(redis.call('HMGET', base, 'h', 'w'))
    return not holder or (holder == me and its == who)
end

function reader.load(who) return may(who) and get('c') end

function call.store(value, who)
    if not may(who) then return 0 end
    redis.call('HSET', base, 'c', value)
    return 1
end
