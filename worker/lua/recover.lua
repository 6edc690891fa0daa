-- Puts tasks whose worker is gone back to the head of their queue: their lease has
-- ended, or they have none. They lose their owner, so that a worker that was only slow can
-- neither end nor move them any more.
-- KEYS[1] pending  KEYS[2] active  KEYS[3] lease
-- ARGV[1] prefix of the tasks' keys  ARGV[2] how long ago a lease has ended at least, in
-- seconds  ARGV[3] how many at most
-- Returns {ids whose task is gone, id, id, …}.
local clock = redis.call('TIME')
local answer = { 0 }
local function recover(id)
  local key = ARGV[1] .. id
  local was = redis.call('LREM', KEYS[2], 0, id)
  redis.call('ZREM', KEYS[3], id)
  local task = redis.call('HMGET', key, 'msg', 'state', 'emq_owner', 'emq_begun', 'emq_deaths')
  if not task[1] then
    redis.call('DEL', key) -- what is left of it would block the ID for good
    answer[1] = answer[1] + 1
    return
  end
  if was == 0 and task[2] ~= 'active' then
    return -- a lease that was left behind; the task waits or has ended
  end
  -- The first death may be of any task that the worker had; after that they are
  -- called alone, and it is of the one that was being called.
  if not task[5] or (task[4] and task[4] == task[3]) then
    redis.call('HINCRBY', key, 'emq_deaths', 1)
  end
  redis.call('HDEL', key, 'emq_owner')
  redis.call('HSET', key, 'state', 'pending', 'pending_since', clock[1] .. string.format('%06d000', clock[2]))
  redis.call('RPUSH', KEYS[1], id)
  answer[#answer + 1] = id
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', clock[1] - ARGV[2], 'LIMIT', 0, ARGV[3])) do
  recover(id)
end
if redis.call('LLEN', KEYS[2]) > redis.call('ZCARD', KEYS[3]) then
  for _, id in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
    if not redis.call('ZSCORE', KEYS[3], id) and #answer <= tonumber(ARGV[3]) then
      recover(id)
    end
  end
end
return answer
