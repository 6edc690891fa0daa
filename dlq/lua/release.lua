-- Takes away one reason for queues to be paused, and notes that they may run again.
-- KEYS[1] reasons (hash)
-- KEYS[2] queues that may run again (set)
-- ARGV[1] field of the reason
-- ARGV[2...] queues
-- Returns 1 when the reason was there, 0 when it was not; then nothing is changed.
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then
  return 0
end
redis.call('SADD', KEYS[2], unpack(ARGV, 2))
return 1
