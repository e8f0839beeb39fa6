-- Read records of one partition, at one instant.
--
-- KEYS  1 `r` records, 2… sessions.
-- ARGV  for each record the number of its key in KEYS, or 0 for one in `r`; and its field.
-- Answer: the values, false where absent.

local answers = {}
for n = 1, #ARGV, 2 do
    local key = tonumber(ARGV[n])
    answers[#answers + 1] = key == 0 and redis.call('HGET', KEYS[1], ARGV[n + 1]) or key > 0 and redis.call('GET', KEYS[key])
end
return answers
