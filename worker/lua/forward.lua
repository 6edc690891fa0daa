-- Puts tasks that are due into their queue, as asynq's own script does, but by the
-- millisecond.
-- KEYS[1] planned tasks  KEYS[2] tasks to be retried  KEYS[3] pending
-- ARGV[1] now, in seconds with a fraction  ARGV[2] prefix of the tasks' keys
-- ARGV[3] now, in nanoseconds  ARGV[4] how many at most of each kind
-- Returns {how many were put, when the next one is due or ""}.
local put, next = 0, ''
for i = 1, 2 do
  local ids = redis.call('ZRANGEBYSCORE', KEYS[i], '-inf', ARGV[1], 'LIMIT', 0, ARGV[4])
  for _, id in ipairs(ids) do
    redis.call('ZREM', KEYS[i], id)
    if redis.call('EXISTS', ARGV[2] .. id) == 1 then
      redis.call('LPUSH', KEYS[3], id)
      redis.call('HSET', ARGV[2] .. id, 'state', 'pending', 'pending_since', ARGV[3])
    end
  end
  put = put + #ids
  local first = redis.call('ZRANGE', KEYS[i], 0, 0, 'WITHSCORES')[2]
  if first and (next == '' or tonumber(first) < tonumber(next)) then
    next = first
  end
end
return { put, next }
