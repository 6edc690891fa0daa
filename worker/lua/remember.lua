-- Adds one failed attempt to the history that a task carries. To repeat it, as
-- a Redis client does when the answer was lost, changes nothing.
-- KEYS[1] the task's asynq hash
-- ARGV[1] the attempt, one line of JSON
-- ARGV[2] 1 when the attempt counts, else 0
-- ARGV[3] how many bytes of history are kept
-- ARGV[4] what the attempt leaves for the next one's spans; empty for nothing
-- Returns how many attempts the history holds, or 0 when the task is gone: a late write must not bring an empty
-- hash into being, which would block the task's ID for good.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
local history = redis.call('HGET', KEYS[1], 'emq_history') or ''
local line = ARGV[1] .. '\n'
if string.sub(history, -#line) == line then
  return select(2, string.gsub(history, '\n', ''))
end
history = history .. line
local most = tonumber(ARGV[3])
if #history > most then
  -- Keep the first attempt and the newest ones.
  local first = string.find(history, '\n', 1, true)
  local from = string.find(history, '\n', #history - most + first, true)
  if from and from < #history then
    history = string.sub(history, 1, first) .. string.sub(history, from + 1)
  end
end
redis.call('HSET', KEYS[1], 'emq_history', history)
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[1], 'emq_trace', ARGV[4])
end
if ARGV[2] == '1' then
  redis.call('HINCRBY', KEYS[1], 'emq_counted', 1)
end
return select(2, string.gsub(history, '\n', ''))
