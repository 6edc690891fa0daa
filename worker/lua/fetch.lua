-- Takes up to N tasks of a queue, as asynq's own script takes one. To repeat it,
-- as a client does when the answer was lost, gives the same tasks again.
-- KEYS[1] pending  KEYS[2] paused  KEYS[3] active  KEYS[4] lease
-- KEYS[5] note of the worker's last fetch: "NUMBER ID ID …"
-- ARGV[1] length of the lease, in seconds  ARGV[2] prefix of the tasks' keys
-- ARGV[3] N  ARGV[4] number of the fetch  ARGV[5] how long the note is kept, in seconds
-- ARGV[6] owner: whoever has not this name can't end or send back the tasks
-- Returns {how many are left, ids whose task is gone, id, task, deaths, trace, id, …}, where
-- deaths is how many workers may have died of the task, and trace what its earlier attempts
-- left for the next one's spans.
local answer, number = { 0, 0 }, tonumber(ARGV[4])
local lease = tonumber(redis.call('TIME')[1]) + tonumber(ARGV[1])
local function give(id, task, deaths, trace)
  answer[#answer + 1] = id
  answer[#answer + 1] = task
  answer[#answer + 1] = tonumber(deaths or 0)
  answer[#answer + 1] = trace or ''
end

local note = redis.call('GET', KEYS[5])
if note then
  local last = tonumber(string.match(note, '^%d+'))
  if number < last then
    return answer -- a late copy of a fetch that was repeated long ago
  end
  if number == last then
    for id in string.gmatch(note, ' (%S+)') do
      local task = redis.call('HMGET', ARGV[2] .. id, 'msg', 'emq_owner', 'emq_deaths', 'emq_trace')
      if task[1] and task[2] == ARGV[6] and redis.call('ZSCORE', KEYS[4], id) then
        redis.call('ZADD', KEYS[4], lease, id)
        give(id, task[1], task[3], task[4])
      end
    end
    answer[1] = redis.call('LLEN', KEYS[1])
    return answer
  end
end

if redis.call('EXISTS', KEYS[2]) == 1 then
  return answer
end
note = ARGV[4]
for _ = 1, tonumber(ARGV[3]) do
  local id = redis.call('RPOPLPUSH', KEYS[1], KEYS[3])
  if not id then break end
  local key = ARGV[2] .. id
  local task = redis.call('HMGET', key, 'msg', 'emq_deaths', 'emq_trace')
  if task[1] then
    redis.call('HSET', key, 'state', 'active', 'emq_owner', ARGV[6])
    redis.call('HDEL', key, 'pending_since')
    redis.call('ZADD', KEYS[4], lease, id)
    note = note .. ' ' .. id
    give(id, task[1], task[2], task[3])
  else
    redis.call('LREM', KEYS[3], 1, id)
    redis.call('DEL', key)
    answer[2] = answer[2] + 1
  end
end
if #answer > 2 then
  redis.call('SET', KEYS[5], note, 'EX', ARGV[5])
end
answer[1] = redis.call('LLEN', KEYS[1])
return answer
