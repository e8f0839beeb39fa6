-- Run a batch of writes of one partition: each succeeds or fails alone, none is seen half done.
--
-- KEYS  1 `r` records, 2 `i` index, 3 `g` sessions by their end, 4 `d` records by their purge, 5 `e` events,
--       6… the sessions that are named.
-- ARGV  the operations, one after the other. A record is named by two values: the number of its key in KEYS, or 0 for one
--       in `r`; and its field (kind, a zero byte, 16 bytes of project, id).
--       a  n (key field version)…  n (which value purge ttl)…  n which…  n event…
--          Apply a change: what is expected, put, deleted and told. which: the number of what is expected that is put or
--          deleted. version 0: absent. purge: instant in ms, or empty: never. ttl: ms, or empty: none.
--       v  key field at reason event   Revoke a session. at: ms.
--       t  key seen_at generation      Touch a session. seen_at: ms.
-- Answer: the last sequence that was given (0: none), then one for each operation: for a, 0 or the kind in conflict;
--       for v, false where absent, else whether this ended it, and the value; for t, 0.
--
-- Values (numbers of 8 bytes are unsigned and big-endian, instants in ms, lengths of 2 bytes):
--       session  version 8, sorted_at 8, expires_at 8, last_seen_at 8, seen_generation 8, generation 8,
--                revoked_at + 1 8 (0: not), owner length 2, owner, reason length 2, reason, body
--       record   version 8, sorted_at 8, expires_at 8, stamp 8, owner length 2 (0xffff: none), owner, body
-- Index members: x prefix sorted_at id expires_at, and o prefix length owner sorted_at id expires_at.
-- Events: score = sequence; member = sequence 8, at 8, body. A sequence is the server's time in microseconds, or one more
--       than the partition's last where that is not less; the last is kept at `#` in `r` and never falls.
-- Where `r` has a `!` the partition was moved to another database: nothing is written, the answer is the error FENCED.

local marks = redis.call('HMGET', KEYS[1], '!', '#')
if marks[1] then return redis.error_reply('FENCED moved away') end
local RECORDS, INDEX, GOING, DUE, EVENTS = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local SESSION_HEAD, RECORD_HEAD, NO_OWNER = 56, 32, 65535
local sub, pack, unpack_ = string.sub, struct.pack, struct.unpack
local call = redis.call
local given = 0
local clock

local function stored(key, field)
    if key == 0 then return call('HGET', RECORDS, field) end
    return call('GET', KEYS[key])
end

local function members(key, field, value)
    local place = string.find(field, '\0', 1, true) + 16
    local prefix, id = sub(field, 1, place), sub(field, place + 1)
    local entry = sub(value, 9, 16) .. id .. sub(value, 17, 24)
    local head = key == 0 and RECORD_HEAD or SESSION_HEAD
    local length = unpack_('>I2', value, head + 1)
    if length == NO_OWNER then return 'x' .. prefix .. entry, nil end
    return 'x' .. prefix .. entry, 'o' .. prefix .. sub(value, head + 1, head + 2 + length) .. entry
end

-- Asked for before anything is written: what a script has written stays, should a later command of it be refused.
local function read_clock()
    if clock then return end
    local time = call('TIME')
    clock = time[1] * 1000000 + time[2]
    given = tonumber(marks[2] or '0')
end

local function tell(event)
    given = math.max(given + 1, clock)
    call('ZADD', EVENTS, string.format('%.0f', given), pack('>I8', given) .. event)
    call('HSET', RECORDS, '#', string.format('%.0f', given))
end

local function unlist(key, field, value)
    local all, own = members(key, field, value)
    call('ZREM', INDEX, all)
    if own then call('ZREM', INDEX, own) end
end

local function remove(key, field, value)
    if not value then return end
    unlist(key, field, value)
    if key == 0 then
        call('HDEL', RECORDS, field)
        call('ZREM', DUE, field)
    else
        call('DEL', KEYS[key])
        call('ZREM', GOING, field)
    end
end

-- What is seen of a session never falls, whatever its writer had read.
local function merged(value, old)
    local seen, generation = unpack_('>I8I8', value, 25)
    local former, formers = unpack_('>I8I8', old, 25)
    return sub(value, 1, 24) .. pack('>I8I8', math.max(seen, former), math.max(generation, formers)) .. sub(value, 41)
end

local function list(all, own)
    if own then call('ZADD', INDEX, 0, all, 0, own) else call('ZADD', INDEX, 0, all) end
end

local function put(key, field, value, purge, ttl, old)
    local all, own = members(key, field, value)
    if old then
        local former, formers = members(key, field, old)
        if former ~= all or formers ~= own then
            unlist(key, field, old)
            list(all, own)
        end
    else
        list(all, own)
    end
    if key == 0 then
        call('HSET', RECORDS, field, value)
        if purge ~= '' then call('ZADD', DUE, purge, field) elseif old then call('ZREM', DUE, field) end
    else
        if old then value = merged(value, old) end
        call('SET', KEYS[key], value, 'PX', ttl)
        call('ZADD', GOING, purge, field)
    end
end

local at = 1
local function take()
    at = at + 1
    return ARGV[at - 1]
end
local function number() return tonumber(take()) end

-- All values of an operation are taken before anything is decided, so that the next one begins where this one ends.
local function several(width)
    local rows = {}
    for n = 1, number() do
        local row = {}
        for column = 1, width do row[column] = take() end
        rows[n] = row
    end
    return rows
end

local function apply()
    local expected, puts, deletes, events = several(3), several(4), several(1), several(1)
    local found = {}
    for n, row in ipairs(expected) do
        row[1] = tonumber(row[1])
        local value = stored(row[1], row[2])
        found[n] = value
        local version = value and unpack_('>I8', value) or 0
        if version ~= tonumber(row[3]) then return sub(row[2], 1, string.find(row[2], '\0', 1, true) - 1) end
    end
    if #events > 0 then read_clock() end
    for _, row in ipairs(puts) do
        local which = tonumber(row[1])
        put(expected[which][1], expected[which][2], row[2], row[3], row[4], found[which])
        found[which] = row[2]
    end
    for _, row in ipairs(deletes) do
        local which = tonumber(row[1])
        remove(expected[which][1], expected[which][2], found[which])
    end
    for _, row in ipairs(events) do tell(row[1]) end
    return 0
end

local function revoke()
    local key, field, ended, reason, event = number(), take(), number(), take(), take()
    local value = call('GET', KEYS[key])
    if not value then return false end
    if unpack_('>I8', value, 49) > 0 then return {0, value} end
    local owner_end = SESSION_HEAD + 2 + unpack_('>I2', value, SESSION_HEAD + 1)
    local reason_end = owner_end + 2 + unpack_('>I2', value, owner_end + 1)
    read_clock()
    value = pack('>I8', unpack_('>I8', value) + 1) .. sub(value, 9, 48) .. pack('>I8', ended + 1)
        .. sub(value, 57, owner_end) .. pack('>I2', #reason) .. reason .. sub(value, reason_end + 1)
    call('SET', KEYS[key], value, 'KEEPTTL')
    call('ZADD', GOING, 'LT', string.format('%.0f', ended), field)
    tell(event)
    return {1, value}
end

local function touch()
    local key, seen_at, generation = number(), number(), number()
    local value = call('GET', KEYS[key])
    if not value or unpack_('>I8', value, 49) > 0 then return 0 end
    local seen, known, current = unpack_('>I8I8I8', value, 25)
    local reached = math.min(generation, current)
    if seen_at > seen or reached > known then
        call('SETRANGE', KEYS[key], 24, pack('>I8I8', math.max(seen, seen_at), math.max(known, reached)))
    end
    return 0
end

local run = {a = apply, v = revoke, t = touch}
local answers = {0}
while ARGV[at] do answers[#answers + 1] = run[take()]() end
answers[1] = clock and string.format('%.0f', given) or '0'
return answers
