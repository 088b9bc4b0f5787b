-- Queue. Fields of the hash:
--   m  how many items fit; no bound if 0 or less      u  items that were put and are not marked as done
--   st  0 open, 1 shut down, 2 shut down at once      once  items taken by a dead process are dropped, not put back
--   waits  also says that the queue may be shut down
--   o   1: a put into a full queue drops the first items      gone  how many items were dropped so
-- and keys:
--   :items    list of items
--   :line     the waits for an item                   :second   the waits for `u` to be 0
--   :putters  list of the items that wait for room: session, operation, place in its batch, 1 for the last of it
--   :pending  hash of these items themselves
-- Items that are taken together are kept with the time until they are acknowledged: as what an operation has taken, or in
-- :granted if it has waited.

local items, putters, pending
local packs -- how often this call has packed items
local LONG = 65536 -- a longer item (bytes) is not part of the message: the client fetches it
local SHORTEST = 10 -- bytes of items with their time; a grant of something else is shorter
local SLICE = 4000 -- the most arguments that one command gets from a table

function structure.name_keys() items, putters, pending = base .. ':items', base .. ':putters', base .. ':pending' end

function structure.begin_call() packs = 0 end

function structure.fields()
    if method == 'get' then return 'waits' end
    return 'waits', 'm', 'u', 'lasts', 'o'
end

function structure.begin()
    redis.call('HSET', base, 'm', ARGV[10], 'u', 0, 'st', 0, 'once', ARGV[11], 'o', ARGV[12])
end

local function room(most)
    most = tonumber(most or get('m'))
    return most <= 0 and math.huge or most - redis.call('LLEN', items)
end

local function push(some, first, final)
    for i = first, final, SLICE do
        local until_ = math.min(i + SLICE - 1, final)
        if redis.call('RPUSH', items, unpack(some, i, until_)) == until_ - i + 1 then born(items) end
    end
    if final >= first then redis.call('HINCRBY', base, 'u', final - first + 1) end
end

-- Count `count` items as done, because no process will take them; fewer if fewer are unfinished.
local function forgo(count)
    redis.call('HSET', base, 'u', text(math.max(0, tonumber(get('u')) - count)))
end

local function finished()
    if get('u') == '0' then hand_to_all(second, '1', 'j') end
end

-- Items that are taken together, with a time, which shows the order of takings.
local function packed(some)
    packs = packs + 1
    local time = struct.pack('<d', micros + packs)
    return #some == 1 and time .. '1' .. some[1] or time .. 'm' .. cmsgpack.pack(some)
end

local function unpacked(given)
    local rest = string.sub(given, 10)
    return struct.unpack('<d', given), string.sub(given, 9, 9) == '1' and {rest} or cmsgpack.unpack(rest)
end

local function serve_getters()
    while redis.call('LLEN', line) > 0 do
        local item = redis.call('LPOP', items)
        if not item then return end
        if not hand(line, #item > LONG and '@' or '=' .. item, packed({item})) then
            if redis.call('LPUSH', items, item) == 1 then born(items) end
            return
        end
    end
end

-- Move items of waiting puts into the queue while it has room, in their order. Returns whether any was moved.
local function serve_putters()
    local moved = false
    while redis.call('LLEN', putters) > 0 and room() > 0 do
        local entry = redis.call('LPOP', putters)
        local sid, number, place, final = string.match(entry, '^(%S+) (%d+) (%d+) (%d)$')
        local field = sid .. ' ' .. number .. ' ' .. place
        local item = redis.call('HGET', pending, field)
        redis.call('HDEL', pending, field)
        if alive(sid) then
            push({item}, 1, 1)
            moved = true
            if final == '1' then
                grant(sid, number, 'p')
                tell(sid, number, '1')
            end
        end
    end
    return moved
end

function structure.serve()
    repeat serve_getters() until not serve_putters()
end

-- Put items that were taken and not acknowledged back to the front, in their old order.
function structure.back(given, sid, died)
    local batches = {}
    for _, each in ipairs(given) do
        if type(each) == 'string' and #each >= SHORTEST then table.insert(batches, {unpacked(each)}) end
    end
    table.sort(batches, function(one, other) return one[1] > other[1] end)
    for _, batch in ipairs(batches) do
        local some = batch[2]
        if get('st') == '2' or (died and get('once') == '1') then
            forgo(#some)
            finished()
        else
            for i = #some, 1, -1 do
                if redis.call('LPUSH', items, some[i]) == 1 then born(items) end
            end
        end
    end
end

-- Remove the waiting items whose entries begin with `with`; returns how many they were.
local function take_from_putters(with)
    local count = 0
    for _, entry in ipairs(redis.call('LRANGE', putters, 0, -1)) do
        if begins(entry, with) then
            redis.call('LREM', putters, 1, entry)
            redis.call('HDEL', pending, (string.gsub(entry, ' %d$', '')))
            count = count + 1
        end
    end
    return count
end

function structure.forget(sid) take_from_putters(sid .. ' ') end

-- If the entry says so, the wait is that of a put for room; otherwise it is one for an item, or for all tasks to be
-- done.
function structure.withdraw(entry)
    if string.match(entry, '^%S+ %d+ p$') then return take_from_putters(string.sub(entry, 1, -2)) end
    return redis.call('LREM', line, 1, entry) + redis.call('LREM', second, 1, entry)
end

-- Whether a put has to look closer: the queue is shut down, or there are waits.
local function look_closer()
    if get('st') == '0' then look_for_waits(line, second, putters) end
end

-- Put items into a queue that drops its first items. Waiting consumers get theirs first.
local function put_dropping(some, most)
    local done = 0
    while done < #some and redis.call('LLEN', line) > 0 do
        local count = math.min(#some - done, redis.call('LLEN', line))
        push(some, done + 1, done + count)
        done = done + count
        structure.serve()
        if redis.call('LLEN', items) > 0 then break end
    end
    local there = redis.call('LLEN', items)
    local over = there + #some - done - most
    if over > 0 then
        local old = math.min(over, there) -- of those that are there; the others are never put
        if old > 0 then
            redis.call('LTRIM', items, old, -1)
            forgo(old)
        end
        redis.call('HINCRBY', base, 'gone', over)
        done = done + over - old
    end
    push(some, done + 1, #some)
    return {1, #some}
end

local PUT, PUT_FORM = {1, 1}, 'm\146\1\1'

local function put(willing, some)
    local waits, most = state[3] == '1', state[4]
    if waits and get('st') ~= '0' then return {-1, 0} end
    local bounded = tonumber(most) > 0
    local fits = #some
    if bounded and state[7] == '1' then return put_dropping(some, tonumber(most)) end
    if bounded then
        local behind = waits and redis.call('LLEN', putters) > 0
        fits = behind and 0 or math.min(#some, math.max(0, room(most)))
    end
    push(some, 1, fits)
    if waits then
        if redis.call('LLEN', line) > 0 then structure.serve() else look_closer() end
    end
    if fits < #some and redis.call('LLEN', putters) == 0 then -- waiting consumers may have made room
        local more = math.min(#some, fits + math.max(0, room()))
        push(some, fits + 1, more)
        fits = more
    end
    if fits == #some then return {1, fits}, fits == 1 and PUT_FORM end
    if willing ~= '1' then return {3, fits} end
    for place = fits + 1, #some do
        wait_in(putters, place .. (place == #some and ' 1' or ' 0'))
        redis.call('HSET', pending, me .. ' ' .. ARGV[3] .. ' ' .. place, some[place])
    end
    born(pending)
    return {0, fits}, nil, 'waits', '1'
end

function call.put(willing, item)
    local waits, most, unfinished, lasts = state[3], state[4], state[5], state[6]
    if waits == '1' or most ~= '0' then return put(willing, {item}) end
    if redis.call('RPUSH', items, item) == 1 and lasts then redis.call('PEXPIRE', items, lasts) end
    return PUT, PUT_FORM, 'u', unfinished + 1
end

-- A batch is an array in MessagePack.
function call.put_many(willing, batch) return put(willing, cmsgpack.unpack(batch)) end

local TAKEN_FORM = 'm\145\2' -- of {2}: the items themselves are kept as what was taken

local function pop(most)
    if most ~= '1' then return redis.call('LPOP', items, most) end
    local item = redis.call('LPOP', items)
    return item and {item}
end

function call.get(most, willing)
    local some = pop(most)
    if not some then
        reap()
        structure.serve()
        some = pop(most)
    end
    if some then
        taken = packed(some)
        if state[3] == '1' and redis.call('LLEN', putters) > 0 then structure.serve() end
        return {2, some}, TAKEN_FORM
    end
    if get('st') ~= '0' then return {-1} end
    if willing ~= '1' then return {3} end
    wait_in(line)
    return {0}, WAITS, 'waits', '1'
end

local function items_of(given)
    local some = {}
    if given and #given >= SHORTEST then some = select(2, unpacked(given)) end
    return {2, some}
end

function structure.again(answer)
    if type(answer) == 'table' and answer[1] == 2 then return items_of(get('t ' .. me .. ' ' .. lane)) end
    return answer
end

function reader.fetch(operation) return items_of(redis.call('HGET', granted, me .. ' ' .. operation)) end

function call.clear()
    local count = redis.call('LLEN', items)
    redis.call('DEL', items)
    forgo(count)
    finished()
    structure.serve()
    return count
end

function call.task_done()
    if get('u') == '0' then return redis.error_reply('SKTOOMANY') end
    redis.call('HINCRBY', base, 'u', -1)
    finished()
    return 1
end

function call.join()
    if get('u') == '0' then return {1} end
    wait_in(second)
    return {0}, WAITS, 'waits', '1'
end

function call.shutdown(immediate)
    if get('st') ~= '2' then redis.call('HSET', base, 'st', immediate == '1' and 2 or 1, 'waits', '1') end
    if immediate == '1' then
        forgo(redis.call('LLEN', items))
        redis.call('DEL', items)
    end
    hand_to_all(line, '!', '!')
    local left = {} -- for each put that waits for room, how many of its items wait
    for _, entry in ipairs(redis.call('LRANGE', putters, 0, -1)) do
        local who = string.match(entry, '^%S+ %d+')
        left[who] = (left[who] or 0) + 1
    end
    redis.call('DEL', putters, pending)
    for who, count in pairs(left) do
        local sid, number = string.match(who, '^(%S+) (%d+)$')
        grant(sid, number, '!' .. count)
        tell(sid, number, '!' .. count)
    end
    finished()
    return 1
end

function call.set_maxsize(most)
    redis.call('HSET', base, 'm', most)
    structure.serve()
    return 1
end

function reader.get_maxsize() return get('m') end

function reader.get_overflow() return get('o') or '0' end

function reader.qsize() return redis.call('LLEN', items) end

function reader.statistics()
    local waiting = {}
    for _, entry in ipairs(redis.call('LRANGE', putters, 0, -1)) do waiting[string.match(entry, '^%S+ %d+')] = true end
    local count = 0
    for _ in pairs(waiting) do count = count + 1 end
    return {
        get('m'), redis.call('LLEN', items), get('u'), get('st'), redis.call('LLEN', line), count, living_sessions(),
        get('gone') or '0',
    }
end
