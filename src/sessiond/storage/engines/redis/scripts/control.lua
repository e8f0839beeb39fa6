-- Read control records, the values only of those that changed.
--
-- KEYS  1 `r` records of the control partition.
-- ARGV  for each record its field, and the stamp (8 bytes) that the reader knows, or nothing.
-- Answer: for each 1 where the stamp still stands, else the value, or false where absent. A stamp is the bytes 25 to 32.

local answers = {}
for n = 1, #ARGV, 2 do
    local value = redis.call('HGET', KEYS[1], ARGV[n])
    if value and string.sub(value, 25, 32) == ARGV[n + 1] then value = 1 end
    answers[#answers + 1] = value
end
return answers
