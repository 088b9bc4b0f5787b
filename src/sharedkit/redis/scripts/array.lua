-- Array, with lock.lua. The lock is for the users alone. Key:
--   :data  string: the elements in C order, each as NumPy has it in memory
-- A large array is written to a key of its own first, which then takes the name of this one: `begin`, `replace`.

local data = base .. ':data'

function structure.begin()
    redis.call('HSET', base, 'raise', '0', 're', '0')
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

-- The sum of two elements in memory: integers with the order of their bytes, < or >, or floats as `struct` has them.
-- Integers are added byte by byte, because the numbers of Lua are not exact to 64 bits. They wrap around.
local function sum(one, other, form)
    if #form == 2 then return struct.pack(form, struct.unpack(form, one) + struct.unpack(form, other)) end
    local bytes, carry, first, final, step = {}, 0, 1, #one, 1
    if form == '>' then first, final, step = #one, 1, -1 end
    for i = first, final, step do
        local byte = string.byte(one, i) + string.byte(other, i) + carry
        carry = byte > 255 and 1 or 0
        bytes[i] = string.char(byte % 256)
    end
    return table.concat(bytes, '', 1, #one)
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
