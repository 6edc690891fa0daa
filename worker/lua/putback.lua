-- Puts tasks that were fetched, and not begun, back to the head of their queue.
-- KEYS[1] pending  KEYS[2] active  KEYS[3] lease
-- ARGV[1] prefix of the tasks' keys  ARGV[2] now, in nanoseconds  ARGV[3] their owner
-- ARGV[4...] ids, in the order in which they were fetched
for i = #ARGV, 4, -1 do
  local id, key = ARGV[i], ARGV[1] .. ARGV[i]
  if redis.call('HGET', key, 'emq_owner') == ARGV[3] and redis.call('LREM', KEYS[2], 1, id) == 1 then
    redis.call('ZREM', KEYS[3], id)
    redis.call('RPUSH', KEYS[1], id)
    redis.call('HDEL', key, 'emq_owner')
    redis.call('HSET', key, 'state', 'pending', 'pending_since', ARGV[2])
  end
end
