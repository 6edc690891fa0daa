-- Puts tasks that were fetched, and not begun, back to the head of their queue.
-- KEYS[1] pending  KEYS[2] active  KEYS[3] lease
-- ARGV[1] prefix of the tasks' keys  ARGV[2] now, in nanoseconds
-- ARGV[3...] ids, in the order in which they were fetched
for i = #ARGV, 3, -1 do
  local id = ARGV[i]
  if redis.call('LREM', KEYS[2], 1, id) == 1 then
    redis.call('ZREM', KEYS[3], id)
    redis.call('RPUSH', KEYS[1], id)
    redis.call('HSET', ARGV[1] .. id, 'state', 'pending', 'pending_since', ARGV[2])
  end
end
