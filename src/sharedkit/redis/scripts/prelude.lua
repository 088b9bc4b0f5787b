-- The common beginning of every function library, after one_server.lua or cluster.lua: which session asks and whether it
-- lives, what its lane was answered last, and how a thing is granted to a wait. The structure's own part comes next, then
-- life.lua, and epilogue.lua last; `scripts.py` joins them.
-- The server makes the functions and tables once, when it loads the library. So variables
-- outside of functions keep their values from call to call: what belongs to one call is set by `begin_call`, or by the
-- structure's `begin_call`; the names of keys stay until another structure is called.
--
--   KEYS[1]   the structure's hash, {prefix:name}:incarnation. A command takes longer than anything else here, so this
--             hash has all that a usual call must know: one command reads it, and one writes what is new.
--      e session       when the session's lease ends (ms of the server)
--      l session lane  the last operation of that lane, its answer, and whether it has taken something
--      t session lane  what that operation has taken, until a later operation of the lane; empty if it is acknowledged
--      waits           whether there may be a wait in one of the structure's lists
--      lasts           how long (ms) a new key lasts if nobody keeps it; absent: for ever
--      kind, spec, persist, layout, and the fields of the structure
--             Its other keys begin with this, so all are in one slot. (In a cluster there is a KEYS[2], which never
--             exists: `Session.bytes_of` says why.)
--      :sessions  sorted set: the sessions by the ends of their leases; also tickets, which keep the structure for a
--                 process that is being started
--      :granted   hash: session and operation -> what a wait was granted and has not acknowledged; and an empty field,
--                 so that it does not end and begin again with each grant
--      :line      list: the waits (session, operation, further data), the next to be served in front
--      :second    list: the waits for something else than those in :line, if the structure has such waits
--   ARGV      session, lane, operation, acknowledgements, method, arguments of the method. An acknowledgement is the
--             number of an operation whose wait was granted something, or number:lane of one that has taken something.
--
-- Numbers of Lua are doubles: a number that may pass 2^53 stays text.

local ARGV, base, me, lane, op, method
local sessions, granted, line, second
local now, micros -- the server's clock
local state -- of the structure's hash: the lease, the record of the lane, then the fields of `structure.fields`
local taken -- what this operation has taken
local SUFFIXES = {'', ':sessions', ':granted', ':line', ':items', ':putters', ':pending', ':second', ':data',
    ':order', ':values', ':firsts', ':order0', ':values0', ':firsts0', ':readers', ':kept', ':old'}
local LAYOUT = '2'
local GRACE = 1000 -- ms that a session lives on without a connection

-- The other parts fill these in. A reader changes nothing; a call does, and never runs twice; `life` may run again.
local reader, call, life = {}, {}, {}
local structure = {}
-- Set the names of the structure's own keys.
function structure.name_keys() end
-- Set the structure's own variables at the beginning of a call.
function structure.begin_call() end
-- The fields of the hash that nearly all calls need.
function structure.fields() end
-- The first contents, from the arguments of `create`.
function structure.begin() end
-- The session `sid` has ended, and its waits with it.
function structure.forget(sid, died) end
-- Take back what was granted and not acknowledged.
function structure.back(given, sid, died) end
-- Grant what is free to the waits.
function structure.serve() end
-- The answer to an operation that is sent again.
function structure.again(answer) return answer end
-- The lists whose waits end silently with their session.
function structure.lists() return {line, second} end
-- End a wait, because its time is over (`how` is 'keep') or it was left ('undo'); returns its parts.
function structure.withdraw(entry, how)
    return redis.call('LREM', line, 1, entry) + redis.call('LREM', second, 1, entry)
end

local function begin_call(keys, args)
    ARGV, me, lane, op, method = args, args[1], args[2], tonumber(args[3]), args[5]
    if keys[1] ~= base then
        base = keys[1]
        sessions, granted, line, second = base .. ':sessions', base .. ':granted', base .. ':line', base .. ':second'
        structure.name_keys()
    end
    local clock = redis.call('TIME') -- read once: on 7.0 the time goes on while a function runs
    now, micros = clock[1] * 1000 + math.floor(clock[2] / 1000), clock[1] * 1000000 + clock[2]
    state, taken = nil, nil
    structure.begin_call()
end

-- The key that stands for the name.
local function pointer() return (string.match(base, '^(.*):')) end

local function text(number) return string.format('%.0f', number) end

local function get(field) return redis.call('HGET', base, field) end

-- Let a key that was just made expire with the structure, in case no process is left to remove it.
local function born(key)
    local ends = redis.call('PEXPIRETIME', base)
    if ends > 0 then redis.call('PEXPIREAT', key, text(ends)) end
end

local function begins(entry, with) return string.sub(entry, 1, #with) == with end

-- Let a session live until then.
local function prolong(sid, ends)
    redis.call('ZADD', sessions, text(ends), sid)
    redis.call('HSET', base, 'e ' .. sid, text(ends))
end

-- Let a session that does not listen live on for GRACE at most: a client that only lost its connection is back by then.
local function shorten_lease(sid)
    local ends = text(now + GRACE)
    if redis.call('ZADD', sessions, 'XX', 'LT', 'CH', ends, sid) == 1 then redis.call('HSET', base, 'e ' .. sid, ends) end
end

local function alive(sid)
    local ends = redis.call('ZSCORE', sessions, sid)
    return ends and tonumber(ends) >= now
end

local function is_ticket(sid) return begins(sid, 'ticket-') end

-- Tell a session what its operations (numbers, with commas between) were granted. Returns false if it does not listen.
local function tell(sid, ops, message)
    if publish(channel(base, sid), ops .. ' ' .. message) > 0 then return true end
    shorten_lease(sid)
    return false
end

local function grant(sid, operation, given)
    if redis.call('HSET', granted, sid .. ' ' .. operation, given, '', '') == 2 then born(granted) end
end

-- Let the operation wait in a list. The entry is that of `Operation.entry`: session, operation, further data. If the
-- structure uses the field `waits`, its method must set that: `return {0}, WAITS, 'waits', '1'`.
local function wait_in(list, more)
    local entry = me .. ' ' .. ARGV[3]
    if more and more ~= '' then entry = entry .. ' ' .. more end
    if redis.call('RPUSH', list, entry) == 1 then born(list) end
end

-- Grant `given` to the first wait in a list whose session lives and listens; return its session, its operation and the
-- rest of its entry. Waits of sessions that do not listen keep their places until their leases end. Instead of `given`,
-- `message` may be a function of that rest; its result is the message, and what is granted.
local function hand(list, message, given)
    local aside, who, operation, rest = {}, nil, nil, nil
    while not who do
        local entry = redis.call('LPOP', list)
        if not entry then break end
        local sid, number, more = string.match(entry, '^(%S+) (%d+) ?(.*)$')
        if alive(sid) then
            local said = given and message or message(more)
            if tell(sid, number, said) then
                grant(sid, number, given or said)
                who, operation, rest = sid, number, more
            else
                table.insert(aside, entry)
            end
        end
    end
    for i = #aside, 1, -1 do
        if redis.call('LPUSH', list, aside[i]) == 1 then born(list) end
    end
    return who, operation, rest
end

-- The field `waits` says that there may be a wait, but there was none in the list that matters: see whether there is any.
local function look_for_waits(...)
    for _, list in ipairs({...}) do
        if redis.call('LLEN', list) > 0 then return end
    end
    redis.call('HSET', base, 'waits', '')
end

-- The same as `hand` for all waits in a list.
local function hand_to_all(list, message, given)
    local ops = {}
    for _, entry in ipairs(redis.call('LRANGE', list, 0, -1)) do
        local sid, number = string.match(entry, '^(%S+) (%d+)')
        if alive(sid) then
            grant(sid, number, given)
            ops[sid] = ops[sid] and ops[sid] .. ',' .. number or number
        end
    end
    redis.call('DEL', list)
    for sid, numbers in pairs(ops) do tell(sid, numbers, message) end
end

-- The record of an operation in its lane: its number, whether it has taken something, and its answer, in one of these
-- forms: n and a small number, s and a text, w and the words that follow 1 in a table, m and MessagePack (to make that
-- takes as long as a command).
local SMALL = {[0] = 'n0', [1] = 'n1'}
local WAITS, GOT = 'm\145\0', 'm\145\1' -- the forms of {0} and {1}

local function form_of(answer)
    return SMALL[answer] or (type(answer) == 'string' and 's' .. answer) or 'm' .. cmsgpack.pack(answer)
end

local function record(number, takes, form) return struct.pack('<dB', number, takes and 1 or 0) .. form end

-- The first two parts of a record; and its answer.
local function read_record(found)
    local number, takes = struct.unpack('<dB', found)
    return number, takes == 1
end

local function answer_in(found)
    local form, rest = string.sub(found, 10, 10), string.sub(found, 11)
    if form == 's' then return rest end
    if form == 'w' then
        local words = {1}
        for word in string.gmatch(rest, '%S+') do table.insert(words, word) end
        return words
    end
    return form == 'n' and tonumber(rest) or cmsgpack.unpack(rest)
end

-- If the operation has not arrived yet, let it have no effect when it comes. If it was the last of its lane, forget its
-- answer, and return it and what the operation has taken.
local function forestall(its_lane, operation)
    local whose, number = me .. ' ' .. its_lane, tonumber(operation)
    local found = get('l ' .. whose)
    local seen, takes = 0, false
    if found then seen, takes = read_record(found) end
    if seen > number then return end
    local what = takes and get('t ' .. whose)
    redis.call('HSET', base, 'l ' .. whose, record(number, false, form_of({-2})))
    if takes then redis.call('HSET', base, 't ' .. whose, '') end
    if seen == number then return answer_in(found), what ~= '' and what end
end

-- The fields of the structure whose names begin with `with`, each followed by its value.
local function fields_with(with)
    local found, all = {}, redis.call('HGETALL', base)
    for i = 1, #all, 2 do
        if begins(all[i], with) then
            table.insert(found, all[i])
            table.insert(found, all[i + 1])
        end
    end
    return found
end

local function fields_of(hash, sid)
    local found, with = {}, sid .. ' '
    for _, field in ipairs(redis.call('HKEYS', hash)) do
        if begins(field, with) then table.insert(found, field) end
    end
    return found
end

-- End a session: its waits, what it was granted and has not acknowledged, what it holds.
local function drop(sid, died)
    redis.call('ZREM', sessions, sid)
    redis.call('HDEL', base, 'e ' .. sid)
    for _, list in ipairs(structure.lists()) do
        for _, entry in ipairs(redis.call('LRANGE', list, 0, -1)) do
            if begins(entry, sid .. ' ') then redis.call('LREM', list, 0, entry) end
        end
    end
    local unheard = {}
    for _, field in ipairs(fields_of(granted, sid)) do
        table.insert(unheard, redis.call('HGET', granted, field))
        redis.call('HDEL', granted, field)
    end
    local lanes, takings = 'l ' .. sid .. ' ', 't ' .. sid .. ' '
    for _, field in ipairs(redis.call('HKEYS', base)) do
        local takes = begins(field, takings)
        if takes then
            local what = get(field)
            if what ~= '' then table.insert(unheard, what) end
        end
        if takes or begins(field, lanes) then redis.call('HDEL', base, field) end
    end
    structure.back(unheard, sid, died)
    structure.forget(sid, died)
end

-- End the sessions whose leases are over. This changes nothing else, so every method may begin with it.
local function reap()
    for _, sid in ipairs(redis.call('ZRANGEBYSCORE', sessions, '-inf', '(' .. text(now))) do drop(sid, true) end
end

-- For each of these sessions, the number of connections that listen on its channel.
local function heard_by(sids)
    local heard = {}
    for first = 1, #sids, 1000 do
        local channels = {}
        for i = first, math.min(first + 999, #sids) do table.insert(channels, channel(base, sids[i])) end
        local counts = listeners(channels)
        for i = 2, #counts, 2 do table.insert(heard, counts[i]) end
    end
    return heard
end

-- Shorten the leases of sessions without a connection. Returns in how many milliseconds the first of these leases is over;
-- 0 if all sessions are connected.
local function shorten()
    local all, first = redis.call('ZRANGE', sessions, 0, -1), nil
    for i, heard in ipairs(heard_by(all)) do
        if heard == 0 and not is_ticket(all[i]) then
            shorten_lease(all[i])
            first = math.min(first or math.huge, tonumber(redis.call('ZSCORE', sessions, all[i])))
        end
    end
    return first and math.max(1, first - now + 1) or 0
end

-- The sessions that are connected.
local function living_sessions()
    local all, living = redis.call('ZRANGEBYSCORE', sessions, text(now), '+inf'), {}
    for i, heard in ipairs(heard_by(all)) do
        if heard > 0 then table.insert(living, all[i]) end
    end
    return living
end

local function remove(whose)
    for _, suffix in ipairs(SUFFIXES) do redis.call('UNLINK', whose .. suffix) end
    local there = redis.call('GET', pointer())
    if there and pointer() .. ':' .. string.match(there, '(%S+) %S+$') == whose then redis.call('DEL', pointer()) end
end

local function is_unused(whose)
    if redis.call('HGET', whose, 'persist') == '1' then return false end
    return redis.call('ZCOUNT', whose .. ':sessions', text(now), '+inf') == 0
end

-- How long (ms) the keys last after the last heartbeat of a process with that lease.
local function span(lease) return 3 * lease + 60000 end

-- Let new keys of a structure that does not persist last for this lease, too.
local function last_for(lease)
    local lasts = get('lasts')
    if lasts and tonumber(lasts) < span(lease) then redis.call('HSET', base, 'lasts', span(lease)) end
end

-- Set when the keys expire if no process is left to remove them. The keys of a persistent structure do not expire.
local function keep(lease)
    for _, suffix in ipairs(SUFFIXES) do redis.call('PEXPIRE', base .. suffix, span(lease), 'GT') end
    local name = pointer()
    if redis.call('GET', name) == 'sharedkit ' .. LAYOUT .. ' ' .. string.sub(base, #name + 2) .. ' ' .. get('kind') then
        redis.call('PEXPIRE', name, span(lease), 'GT')
    end
end
