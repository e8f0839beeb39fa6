-- Raise the highest sequence that any node acknowledged, and answer it.
--
-- KEYS  1 the highest sequence.
-- ARGV  1 the highest that this node knows.

local highest = tonumber(redis.call('GET', KEYS[1]) or '0')
if tonumber(ARGV[1]) > highest then
    redis.call('SET', KEYS[1], ARGV[1])
    return ARGV[1]
end
return string.format('%.0f', highest)
