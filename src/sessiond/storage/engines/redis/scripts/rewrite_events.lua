-- Replace events of one partition; those that are not there (any more) are skipped.
--
-- KEYS  1 `e` events by their sequence, 2 `r` records.
-- ARGV  for each its sequence, and its new instant and body.
-- Answer: how many were replaced. A member begins with its sequence (8 bytes, big-endian).

if redis.call('HEXISTS', KEYS[2], '!') == 1 then return redis.error_reply('FENCED moved away') end
local replaced = 0
for n = 1, #ARGV, 2 do
    local old = redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[n], ARGV[n])[1]
    if old then
        redis.call('ZREM', KEYS[1], old)
        redis.call('ZADD', KEYS[1], ARGV[n], string.sub(old, 1, 8) .. ARGV[n + 1])
        replaced = replaced + 1
    end
end
return replaced
