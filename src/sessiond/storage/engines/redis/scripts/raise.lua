-- Raise the highest sequence that any node acknowledged, and those of the partitions in which the node told something;
-- answer the highest of all.
--
-- KEYS  1 the highest sequence, 2 the partitions by the highest of their own.
-- ARGV  1 the highest that this node knows, and then for each partition its highest and its number, two bytes.

for n = 2, #ARGV, 2 do redis.call('ZADD', KEYS[2], 'GT', ARGV[n], ARGV[n + 1]) end
local highest = tonumber(redis.call('GET', KEYS[1]) or '0')
if tonumber(ARGV[1]) > highest then
    redis.call('SET', KEYS[1], ARGV[1])
    return ARGV[1]
end
return string.format('%.0f', highest)
