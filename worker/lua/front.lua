-- Puts an active task back to the head of its queue.
-- KEYS[1] the task  KEYS[2] active  KEYS[3] lease  KEYS[4] pending
-- ARGV[1] the task's ID  ARGV[2] its owner  ARGV[3] the task, or "" to leave it as it is
-- ARGV[4] now, in nanoseconds
-- Returns 1, or 0 when it has another owner now, or has ended.
if redis.call('HGET', KEYS[1], 'emq_owner') ~= ARGV[2] then
  return 0
end
redis.call('LREM', KEYS[2], 0, ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('RPUSH', KEYS[4], ARGV[1])
redis.call('HDEL', KEYS[1], 'emq_owner', 'emq_begun')
redis.call('HSET', KEYS[1], 'state', 'pending', 'pending_since', ARGV[4])
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[1], 'msg', ARGV[3])
end
return 1
