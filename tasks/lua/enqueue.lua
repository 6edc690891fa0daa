-- Queues tasks, as asynq's own script queues one.
-- KEYS[1] pending  KEYS[2] note that there was news of this queue just now
-- ARGV[1] prefix of the tasks' keys  ARGV[2] now, in nanoseconds
-- ARGV[3] channel of the app's news  ARGV[4] the queue
-- ARGV[5] how long workers look often after news, in milliseconds
-- ARGV[6...] id and task, by turns
-- Returns for each 1, or 0 when the ID exists in this queue.
local answers, ids = {}, {}
for i = 6, #ARGV, 2 do
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
  -- A queue that was empty: workers may be asleep. Who may not publish queues all the same.
  if redis.call('LPUSH', KEYS[1], unpack(ids)) == #ids and redis.call('SET', KEYS[2], '1', 'PX', ARGV[5], 'NX') then
    redis.pcall('PUBLISH', ARGV[3], ARGV[4])
  end
end
return answers
