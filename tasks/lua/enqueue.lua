-- Queues tasks, as asynq's own script queues one. To repeat it, as a client does when the
-- answer was lost, changes nothing and gives the same answer, even when a worker has ended
-- the tasks meanwhile.
-- KEYS[1] pending  KEYS[2] note that there was news of this queue just now
-- KEYS[3] note of this call's answer
-- ARGV[1] prefix of the tasks' keys  ARGV[2] now, in nanoseconds
-- ARGV[3] channel of the app's news  ARGV[4] the queue
-- ARGV[5] how long workers look often after news, in milliseconds
-- ARGV[6] how long the note of the answer is kept, in seconds; 0 for none
-- ARGV[7...] id and task, by turns
-- Returns for each 1, or 0 when the ID exists in this queue.
local answers, ids = {}, {}
local before = ARGV[6] ~= '0' and redis.call('GET', KEYS[3])
if before then
  for answer in string.gmatch(before, '%d') do
    answers[#answers + 1] = tonumber(answer)
  end
  return answers
end
for i = 7, #ARGV, 2 do
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
if ARGV[6] ~= '0' then
  redis.call('SET', KEYS[3], table.concat(answers), 'EX', ARGV[6])
end
return answers
