-- Remove the oldest events of one partition that happened before an instant.
--
-- KEYS  1 `e` events by their sequence, 2 `r` records.
-- ARGV  1 the instant in ms, 2 the most that may go.
-- Answer: how many went. A member begins with its sequence (8 bytes) and its instant (8 bytes, big-endian, ms).

if redis.call('HEXISTS', KEYS[2], '!') == 1 then return redis.error_reply('FENCED moved away') end
local before, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local went = 0
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, 2 * most)) do
    if went == most then break end
    if struct.unpack('>I8', member, 9) < before then went = went + redis.call('ZREM', KEYS[1], member) end
end
return went
