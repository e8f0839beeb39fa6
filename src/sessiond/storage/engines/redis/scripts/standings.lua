-- Read sessions of one partition with their subjects, at one instant.
--
-- KEYS  1 `r` records, 2… the sessions.
-- ARGV  for each session the beginning of its subject's field: kind, a zero byte, 16 bytes of project.
-- Answer: for each session its value and its subject's value, false where absent.
-- A session's owner has its length (2 bytes, big-endian) behind the head of 56 bytes (see write.lua).

local answers = {}
for n = 2, #KEYS do
    local value, subject = redis.call('GET', KEYS[n]), false
    if value then
        local length = struct.unpack('>I2', value, 57)
        subject = redis.call('HGET', KEYS[1], ARGV[n - 1] .. string.sub(value, 59, 58 + length))
    end
    answers[#answers + 1] = value
    answers[#answers + 1] = subject
end
return answers
