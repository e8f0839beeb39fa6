-- Remove records of one partition that may go, if they still may.
--
-- KEYS  1 `r` records, 2 `i` index, 3 `g` sessions by their end, 4 `d` records by their purge, 5… sessions.
-- ARGV  1 sessions that ended before this instant may go, 2 other records whose purge lies before this one (both in ms);
--       then for each record the number of its key in KEYS, or 0 for one in `r`; and its field.
-- Answer: how many went. Values and index members: see write.lua.

if redis.call('HEXISTS', KEYS[1], '!') == 1 then return redis.error_reply('FENCED moved away') end
local RECORDS, INDEX, GOING, DUE = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local NO_OWNER = 65535
local sub, call = string.sub, redis.call
local ended_before, due_before = tonumber(ARGV[1]), tonumber(ARGV[2])
local went = 0

local function unlist(field, value, head)
    local place = string.find(field, '\0', 1, true) + 16
    local prefix = sub(field, 1, place)
    local entry = sub(value, 9, 16) .. sub(field, place + 1) .. sub(value, 17, 24)
    local length = struct.unpack('>I2', value, head + 1)
    call('ZREM', INDEX, 'x' .. prefix .. entry)
    if length ~= NO_OWNER then call('ZREM', INDEX, 'o' .. prefix .. sub(value, head + 1, head + 2 + length) .. entry) end
end

-- A session whose key has left by itself cannot tell its index members any more: they are found by its id, which is
-- 16 bytes and followed by 8 of expires_at.
local function forget(prefix, missing)
    for _, sort in ipairs({'x', 'o'}) do
        local first = sort .. prefix
        for _, member in ipairs(call('ZRANGEBYLEX', INDEX, '[' .. first, '[' .. first .. '\255')) do
            if missing[sub(member, -24, -9)] then call('ZREM', INDEX, member) end
        end
    end
end

local left = {}
for n = 3, #ARGV, 2 do
    local key, field = tonumber(ARGV[n]), ARGV[n + 1]
    local queue, before = DUE, due_before
    if key > 0 then queue, before = GOING, ended_before end
    local score = call('ZSCORE', queue, field)
    if score and tonumber(score) < before then
        local value
        if key > 0 then value = call('GET', KEYS[key]) else value = call('HGET', RECORDS, field) end
        if value then
            unlist(field, value, key > 0 and 56 or 32)
            if key > 0 then call('DEL', KEYS[key]) else call('HDEL', RECORDS, field) end
            went = went + 1
        elseif key > 0 then
            local prefix = sub(field, 1, -17)
            left[prefix] = left[prefix] or {}
            left[prefix][sub(field, -16)] = true
        end
        call('ZREM', queue, field)
    end
end
for prefix, missing in pairs(left) do forget(prefix, missing) end
return went
