-- Array, with lock.lua. The lock is for the users alone. Key:
--   :data  string: the elements in C order, each as NumPy has it in memory
-- A large array is written to a key of its own first, which then takes the name of this one: `begin`, `replace`.

local data

function structure.name_keys() data = base .. ':data' end

function structure.begin()
    redis.call('HSET', base, 'h', '', 'raise', '0', 're', '0')
    local size = tonumber(ARGV[10])
    if ARGV[11] ~= '' then
        redis.call('SET', data, ARGV[11])
    elseif redis.call('STRLEN', data) < size then
        redis.call('SETRANGE', data, size - 1, '\0')
    end
    redis.call('PERSIST', data)
end

function reader.read(at, size) return redis.call('GETRANGE', data, at, at + size - 1) end

function reader.check() return 1 end

local function place(places, i) return (struct.unpack('<d', places, 8 * i - 7)) end

-- Many runs of `size` bytes. `places` are doubles: where each begins.
function reader.gather(places, size)
    local found = {}
    for i = 1, #places / 8 do
        local at = place(places, i)
        found[i] = redis.call('GETRANGE', data, at, at + size - 1)
    end
    return table.concat(found)
end

function call.write(at, bytes)
    redis.call('SETRANGE', data, at, bytes)
    return 1
end

function call.scatter(places, size, bytes)
    for i = 1, #places / 8 do
        redis.call('SETRANGE', data, place(places, i), string.sub(bytes, (i - 1) * size + 1, i * size))
    end
    return 1
end

function call.replace(written)
    if redis.call('EXISTS', written) == 0 then return redis.error_reply('SKLOST') end
    redis.call('UNLINK', data)
    redis.call('RENAME', written, data)
    redis.call('PERSIST', data)
    born(data)
    return 1
end

local HALF = 4294967296

-- The sum of two elements in memory, of the form that `struct` has for them. Integers wrap around; those of 8 bytes are
-- added by halves, because the numbers of Lua are not exact to 64 bits.
local function sum(one, other, form)
    local a, b = struct.unpack(form, one)
    local c, d = struct.unpack(form, other)
    if form == '<I4I4' then
        return struct.pack(form, (a + c) % HALF, (b + d + (a + c >= HALF and 1 or 0)) % HALF)
    elseif form == '>I4I4' then
        return struct.pack(form, (a + c + (b + d >= HALF and 1 or 0)) % HALF, (b + d) % HALF)
    elseif string.sub(form, 2, 2) == 'I' then
        return struct.pack(form, (a + c) % 256 ^ #one)
    end
    return struct.pack(form, a + c)
end

local function add(at, summand, form)
    local there = redis.call('GETRANGE', data, at, at + #summand - 1)
    redis.call('SETRANGE', data, at, sum(there, summand, form))
    return there
end

function call.fetch_add(at, summand, form) return add(tonumber(at), summand, form) end

function call.add_at(places, size, summands, form)
    for i = 1, #places / 8 do
        add(place(places, i), string.sub(summands, (i - 1) * size + 1, i * size), form)
    end
    return 1
end

-- Write one element if it has these bytes.
function call.swap(at, expected, desired)
    if redis.call('GETRANGE', data, at, at + #expected - 1) ~= expected then return 0 end
    redis.call('SETRANGE', data, at, desired)
    return 1
end
