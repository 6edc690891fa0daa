-- Puts an active task among those to be retried, as asynq's own script does.
-- KEYS[1] the task  KEYS[2] active  KEYS[3] lease  KEYS[4] to be retried
-- KEYS[5] tasks processed today  KEYS[6] … failed today  KEYS[7] … processed ever
-- KEYS[8] … failed ever
-- ARGV[1] the task's ID  ARGV[2] its owner  ARGV[3] the task  ARGV[4] when it is due, in
-- seconds with a fraction  ARGV[5] until when today's counters are kept, in seconds
-- ARGV[6] 1 when it counts as failed
-- Returns 1, or 0 when it has another owner now, or has ended.
if redis.call('HGET', KEYS[1], 'emq_owner') ~= ARGV[2] then
  return 0
end
redis.call('LREM', KEYS[2], 0, ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZADD', KEYS[4], ARGV[4], ARGV[1])
redis.call('HDEL', KEYS[1], 'emq_owner', 'emq_begun')
redis.call('HSET', KEYS[1], 'msg', ARGV[3], 'state', 'retry')
if ARGV[6] == '1' then
  for i = 5, 8 do
    if redis.call('INCR', KEYS[i]) == 1 and i <= 6 then
      redis.call('EXPIREAT', KEYS[i], ARGV[5])
    end
  end
end
return 1
