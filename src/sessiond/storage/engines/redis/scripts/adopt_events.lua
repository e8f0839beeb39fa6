-- Put events of one partition at sequences that were given elsewhere, over what is there.
--
-- KEYS  1 `r` records, 2 `e` events by their sequence.
-- ARGV  for each its sequence, and its instant and body.
-- Answer: 0. The partition's last sequence, at `#` in `r`, is not below any of them afterwards. See write.lua.

if redis.call('HEXISTS', KEYS[1], '!') == 1 then return redis.error_reply('FENCED moved away') end
local last = tonumber(redis.call('HGET', KEYS[1], '#') or '0')
for n = 1, #ARGV, 2 do
    redis.call('ZREMRANGEBYSCORE', KEYS[2], ARGV[n], ARGV[n])
    redis.call('ZADD', KEYS[2], ARGV[n], struct.pack('>I8', tonumber(ARGV[n])) .. ARGV[n + 1])
    last = math.max(last, tonumber(ARGV[n]))
end
redis.call('HSET', KEYS[1], '#', string.format('%.0f', last))
return 0
