-- Writes one field of a task, if the task is there: a late write must not bring
-- an empty hash into being, which would block the task's ID for good.
-- KEYS[1] the task's asynq hash
-- ARGV[1] the field
-- ARGV[2] its value
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
