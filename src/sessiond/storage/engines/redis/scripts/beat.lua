-- Write a heartbeat, and tell it to whoever listens.
--
-- KEYS  1 the last heartbeat of any node.
-- ARGV  1 the channel, 2 the heartbeat.
-- Answer: how many listened on this server.

redis.call('SET', KEYS[1], ARGV[2])
return redis.call('PUBLISH', ARGV[1], ARGV[2])
