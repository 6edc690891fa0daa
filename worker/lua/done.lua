-- Ends tasks of a queue, as asynq's own script ends one. What has not the owner that
-- is named is passed over: it was ended before, or another worker has it now.
-- KEYS[1] active  KEYS[2] lease  KEYS[3] tasks processed today  KEYS[4] … ever
-- ARGV[1] prefix of the tasks' keys  ARGV[2] until when KEYS[3] is kept, in seconds
-- ARGV[3...] id and owner of each
-- Returns how many were ended.
local ended = 0
for i = 3, #ARGV, 2 do
  local id, key = ARGV[i], ARGV[1] .. ARGV[i]
  if redis.call('HGET', key, 'emq_owner') == ARGV[i + 1] and redis.call('LREM', KEYS[1], 1, id) == 1 then
    redis.call('ZREM', KEYS[2], id)
    redis.call('DEL', key)
    ended = ended + 1
  end
end
if ended > 0 then
  if redis.call('INCRBY', KEYS[3], ended) == ended then
    redis.call('EXPIREAT', KEYS[3], ARGV[2])
  end
  redis.call('INCRBY', KEYS[4], ended)
end
return ended
