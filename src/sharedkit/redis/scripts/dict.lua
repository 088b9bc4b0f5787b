-- Dict and Set. The client sends each key as its form, equal for equal keys; and the pickled key, '' if the form says all.
-- Field of the hash:
--   q  the place of the key that was inserted last
-- and keys:
--   :order    sorted set: form -> its place          :values  hash: form -> value; a set has none
--   :firsts   hash: form -> pickled key, unless ''
--   :readers  hash: snapshot -> what it reads (k keys, p pairs; K, P: of what was there before a `clear`), the last
--             place it has, the place it has read up to
--   :kept     sorted set, by name: snapshot, place and form of what the snapshot has and the dict has not any more
--   :order0, :values0, :firsts0  what was there before a `clear`, as long as snapshots read it
--   :old      hash: the pickled keys ('f snapshot form') and values ('v snapshot form') of these

local order, values, firsts, readers, kept, old
local PAGE = 1000 -- keys that one call reads
local PAGE_BYTES = 4194304 -- bytes after which it reads no more

function structure.name_keys()
    order, values, firsts = base .. ':order', base .. ':values', base .. ':firsts'
    readers, kept, old = base .. ':readers', base .. ':kept', base .. ':old'
end

local function padded(place) return string.format('%016.0f', place) end

local function store(hash, field, value)
    if redis.call('HSET', hash, field, value) == 1 and redis.call('HLEN', hash) == 1 then born(hash) end
end

-- Before a key is changed or removed: keep it for the snapshots that have not read it yet.
local function save(form, place, removed)
    local all = redis.call('HGETALL', readers)
    for i = 1, #all, 2 do
        local what, upto, after = string.match(all[i + 1], '^(%a) (%d+) (%d+)$')
        if (removed or what == 'p') and place <= tonumber(upto) and place > tonumber(after) then
            local id = all[i]
            if redis.call('ZADD', kept, 'NX', 0, id .. ' ' .. padded(place) .. ' ' .. form) == 1 then
                local its_key, its_value = redis.call('HGET', firsts, form), redis.call('HGET', values, form)
                if its_key then store(old, 'f ' .. id .. ' ' .. form, its_key) end
                if its_value and what == 'p' then store(old, 'v ' .. id .. ' ' .. form, its_value) end
                born(kept)
            end
        end
    end
end

local function place_of(form) return tonumber(redis.call('ZSCORE', order, form) or nil) end

-- Set a key, at its place if it is there, else at a new one; returns 1 if it is new. The pickled key that came first
-- stays.
local function put(form, pickled, value, new_place)
    local place = place_of(form)
    if place then
        save(form, place, false)
    else
        new_place = new_place or redis.call('HINCRBY', base, 'q', 1)
        redis.call('ZADD', order, text(new_place), form)
        if pickled ~= '' then store(firsts, form, pickled) end
    end
    if value ~= '' then redis.call('HSET', values, form, value) end
    if not place and redis.call('ZCARD', order) == 1 then
        born(order)
        born(values)
    end
    return place and 0 or 1
end

-- Remove a key; returns whether it was there.
local function take(form)
    local place = place_of(form)
    if not place then return false end
    save(form, place, true)
    redis.call('ZREM', order, form)
    redis.call('HDEL', values, form)
    redis.call('HDEL', firsts, form)
    return true
end

function call.set(form, pickled, value) return put(form, pickled, value) end

-- Set many keys: an array in MessagePack of form, pickled key and value for each. Answers how many are new.
function call.set_many(batch)
    local all, new = cmsgpack.unpack(batch), 0
    local place = redis.call('HINCRBY', base, 'q', #all / 3) - #all / 3
    for i = 1, #all, 3 do new = new + put(all[i], all[i + 1], all[i + 2], place + (i + 2) / 3) end
    return new
end

function call.setdefault(form, pickled, value)
    local there = redis.call('HGET', values, form)
    if not there then put(form, pickled, value) end
    return there
end

function call.pop(form)
    local there = redis.call('HGET', values, form)
    take(form)
    return there
end

function call.discard(form) return take(form) and 1 or 0 end

function call.popitem()
    local form = redis.call('ZREVRANGE', order, 0, 0)[1]
    if not form then return false end
    local pickled, there = redis.call('HGET', firsts, form), redis.call('HGET', values, form)
    take(form)
    return {form, pickled or '', there or ''}
end

local function whole(number) return string.match(number, '^%-?%d+$') end

-- Add a number. An integer is stored as its digits, a float as f and its digits; other values begin with p. Answers
-- the new value; or, in a table, the old one, if the client must add and then `swap`.
function call.add(form, pickled, number)
    local there = redis.call('HGET', values, form)
    if not there then
        put(form, pickled, number)
        return number
    end
    save(form, place_of(form), false)
    if whole(there) and whole(number) then
        local sum = redis.pcall('HINCRBY', values, form, number)
        if type(sum) == 'table' then return string.find(sum.err, 'overflow') and {there} or sum end
        return redis.call('HGET', values, form)
    end
    if string.sub(there, 1, 1) == 'p' then return {there} end
    local sum = tonumber((string.gsub(there, '^f', ''))) + tonumber((string.gsub(number, '^f', '')))
    if sum ~= sum or sum == math.huge or sum == -math.huge then return {there} end
    sum = 'f' .. string.format('%.17g', sum)
    redis.call('HSET', values, form, sum)
    return sum
end

-- Set a key if its value still has these bytes ('': if it is still missing); the client has compared values.
function call.swap(form, pickled, expected, desired)
    if (redis.call('HGET', values, form) or '') ~= expected then return 0 end
    put(form, pickled, desired)
    return 1
end

-- Have the answer before this one, which was long, forgotten: the client has it.
function call.seen() return 1 end

-- In one step, however many keys there are. Snapshots go on to read the old tables, unless those of an earlier `clear`
-- are still being read.
function call.clear()
    if redis.call('EXISTS', readers) == 1 then
        if redis.call('EXISTS', order .. '0') == 1 then
            for _, form in ipairs(redis.call('ZRANGE', order, 0, -1)) do save(form, place_of(form), true) end
        else
            for _, each in ipairs({order, values, firsts}) do
                if redis.call('EXISTS', each) == 1 then redis.call('RENAME', each, each .. '0') end
            end
            local all = redis.call('HGETALL', readers)
            for i = 1, #all, 2 do redis.call('HSET', readers, all[i], (string.gsub(all[i + 1], '^%a', string.upper))) end
        end
    end
    redis.call('UNLINK', order, values, firsts)
    return 1
end

function reader.get(form) return redis.call('HGET', values, form) end

function reader.has(form) return place_of(form) and 1 or 0 end

function reader.len() return redis.call('ZCARD', order) end

-- The next keys between two places, in order: how far it has read, 1 if that is all, and the entries. An entry is a
-- form, a pickled key and, if `what` is p or P, a value. `id` is the snapshot that reads, '' for what is there now.
local function page(what, after, upto, id)
    local before_clear = what == string.upper(what) and '0' or ''
    local pairs_too = string.lower(what) == 'p'
    local live = redis.call('ZRANGE', order .. before_clear, '(' .. after, upto, 'BYSCORE', 'LIMIT', 0, PAGE, 'WITHSCORES')
    local gone = {}
    if id ~= '' then
        local from, to = '[' .. id .. ' ' .. padded(after + 1), '(' .. id .. ' ' .. padded(upto + 1)
        gone = redis.call('ZRANGE', kept, from, to, 'BYLEX', 'LIMIT', 0, PAGE)
    end
    local some_pickled = redis.call('EXISTS', firsts .. before_clear) == 1
    local entries, count, bytes, l, g = {after, 1}, 0, 0, 1, 1
    while l <= #live or g <= #gone do
        if count == PAGE or bytes >= PAGE_BYTES then
            entries[2] = 0
            break
        end
        local place, before = tonumber(live[l + 1]), nil
        if gone[g] then before = tonumber(string.sub(gone[g], #id + 2, #id + 17)) end
        local form, pickled, value
        if before and (not place or before <= place) then
            if before == place then l = l + 2 end
            g = g + 1
            place, form = before, string.sub(gone[g - 1], #id + 19)
            pickled = redis.call('HGET', old, 'f ' .. id .. ' ' .. form) or ''
            if pairs_too then value = redis.call('HGET', old, 'v ' .. id .. ' ' .. form) or '' end
        else
            form = live[l]
            l = l + 2
            pickled = some_pickled and redis.call('HGET', firsts .. before_clear, form) or ''
            if pairs_too then value = redis.call('HGET', values .. before_clear, form) or '' end
        end
        table.insert(entries, form)
        table.insert(entries, pickled)
        if value then table.insert(entries, value) end
        count = count + 1
        bytes = bytes + #form + #pickled + (value and #value or 0)
        entries[1] = place
    end
    if #live == 2 * PAGE or #gone == PAGE then entries[2] = 0 end
    entries[1] = text(entries[1])
    return entries
end

-- All entries, if they are few; otherwise nothing, and the client makes a snapshot.
function reader.all(what)
    if redis.call('ZCARD', order) > PAGE then return false end
    local entries = page(what, 0, '+inf', '')
    return entries[2] == 1 and entries
end

-- From now on keep for this snapshot what it has and is changed or removed before it is read.
function call.snapshot(id, what)
    redis.call('HSET', readers, id, what .. ' ' .. (get('q') or '0') .. ' 0')
    born(readers)
    return 1
end

local function forget_kept(id, first, last_)
    for _, name in ipairs(redis.call('ZRANGE', kept, '[' .. id .. ' ' .. first, '(' .. id .. ' ' .. last_, 'BYLEX')) do
        local form = string.sub(name, #id + 19)
        redis.call('HDEL', old, 'f ' .. id .. ' ' .. form, 'v ' .. id .. ' ' .. form)
        redis.call('ZREM', kept, name)
    end
end

-- The next entries of a snapshot that has been read up to the place `after`.
function life.page(id, after)
    local what, upto = string.match(redis.call('HGET', readers, id) or '', '^(%a) (%d+) ')
    if not what then return redis.error_reply('SKUNKNOWN') end
    after = tonumber(after)
    forget_kept(id, padded(0), padded(after + 1))
    redis.call('HSET', readers, id, what .. ' ' .. upto .. ' ' .. text(after))
    return page(what, after, tonumber(upto), id)
end

function life.finish(id)
    redis.call('HDEL', readers, id)
    forget_kept(id, '0', ':')
    for _, each in ipairs(redis.call('HVALS', readers)) do
        if string.find(each, '^%u') then return 1 end
    end
    redis.call('UNLINK', order .. '0', values .. '0', firsts .. '0')
    return 1
end

function structure.forget(sid)
    for _, id in ipairs(fields_of(readers, sid)) do life.finish(id) end
end

function reader.statistics() return {redis.call('ZCARD', order), living_sessions()} end
