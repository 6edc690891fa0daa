-- Queues tasks, as asynq's own script queues one.
-- KEYS[1] pending
-- ARGV[1] prefix of the tasks' keys  ARGV[2] now, in nanoseconds
-- ARGV[3...] id and task, by turns
-- Returns for each 1, or 0 when the ID exists in this queue.
local answers, ids = {}, {}
for i = 3, #ARGV, 2 do
  local key = ARGV[1] .. ARGV[i]
  if redis.call('EXISTS', key) == 1 then
    answers[#answers + 1] = 0
  else
    redis.call('HSET', key, 'msg', ARGV[i + 1], 'state', 'pending', 'pending_since', ARGV[2])
    ids[#ids + 1] = ARGV[i]
    answers[#answers + 1] = 1
  end
end
if #ids > 0 then
  redis.call('LPUSH', KEYS[1], unpack(ids))
end
return answers
