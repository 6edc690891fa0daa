-- Puts an active task back to the head of its queue, as asynq's own script puts
-- it among those to be retried.
-- KEYS[1] the task  KEYS[2] active  KEYS[3] lease  KEYS[4] pending
-- ARGV[1] the task's ID  ARGV[2] the task  ARGV[3] now, in nanoseconds
if redis.call('LREM', KEYS[2], 0, ARGV[1]) == 0 then
  return redis.error_reply('NOT FOUND')
end
if redis.call('ZREM', KEYS[3], ARGV[1]) == 0 then
  return redis.error_reply('NOT FOUND')
end
redis.call('RPUSH', KEYS[4], ARGV[1])
redis.call('HSET', KEYS[1], 'msg', ARGV[2], 'state', 'pending', 'pending_since', ARGV[3])
return redis.status_reply('OK')
