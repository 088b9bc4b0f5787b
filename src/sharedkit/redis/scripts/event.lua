-- Event. Field `s` of the hash: the flag is set.

function call.set()
    redis.call('HSET', base, 's', '1')
    hand_to_all(line, '1', '1')
    return 1
end

function call.clear()
    redis.call('HDEL', base, 's')
    return 1
end

function call.wait()
    if get('s') then return {1} end
    wait_in(line)
    return {0}
end

function reader.is_set() return get('s') and 1 or 0 end

function reader.statistics() return {get('s') or '0', redis.call('LLEN', line), living_sessions()} end
